//! `generation_config.json`: how the checkpoint wants to be sampled.

use super::ConfigError;
use super::fields::{read_fields, read_object};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Decoding defaults of a checkpoint; flags override them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Sample from the distribution; `false` takes the likeliest token.
    pub do_sample: bool,
    /// Divides the logits before sampling.
    pub temperature: f64,
    /// Keep the `k` likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens whose probabilities reach this sum.
    pub top_p: f64,
    /// Keep tokens with at least this share of the likeliest one's probability.
    pub min_p: f64,
    /// Divides (or multiplies, below zero) the logits of tokens that were seen.
    pub repetition_penalty: f64,
    /// Tokens that end an answer.
    pub eos_token_id: TokenIdList,
    /// Fills up batches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pad_token_id: Option<u32>,
    /// Most tokens of an answer, where the checkpoint says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_new_tokens: Option<usize>,
    /// Strings that end an answer: one or a list.
    #[serde(deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub stop_strings: Vec<String>,
    /// Fields of the file that ask for something this program does not do.
    #[serde(skip)]
    pub ignored: Vec<String>,
    /// First token of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bos_token_id: Option<u32>,
}

/// One id or a list of ids, as checkpoints have both.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a token id or a list of token ids")]
pub enum TokenIdList {
    /// None given.
    #[default]
    Absent,
    /// A single id.
    One(u32),
    /// Several ids.
    Many(Vec<u32>),
}

impl TokenIdList {
    /// The ids as a list.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        match self {
            Self::Absent => Vec::new(),
            Self::One(id) => vec![*id],
            Self::Many(ids) => ids.clone(),
        }
    }
}

/// Fields of transformers' `GenerationConfig` that change an answer and are not honoured here, and the
/// number at which each changes nothing; lists and objects change nothing where they are empty.
const NOT_HONOURED: [(&str, f64); 27] = [
    ("assistant_early_exit", 0.0),
    ("bad_words_ids", 0.0),
    ("begin_suppress_tokens", 0.0),
    ("constraints", 0.0),
    ("diversity_penalty", 0.0),
    ("dola_layers", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("exponential_decay_length_penalty", 0.0),
    ("force_words_ids", 0.0),
    ("forced_bos_token_id", -1.0),
    ("forced_eos_token_id", -1.0),
    ("guidance_scale", 1.0),
    ("max_time", -1.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beams", 1.0),
    ("penalty_alpha", 0.0),
    ("remove_invalid_values", 0.0),
    ("sequence_bias", 0.0),
    ("suppress_tokens", 0.0),
    ("top_h", 0.0),
    ("typical_p", 1.0),
    ("watermarking_config", 0.0),
];

fn ignored(fields: &Map<String, Value>) -> Vec<String> {
    let changes_answers = |value: &Value, neutral: f64| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::String(_) => true,
        Value::Number(number) => number.as_f64() != Some(neutral),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
    };
    NOT_HONOURED
        .iter()
        .filter(|(name, neutral)| fields.get(*name).is_some_and(|value| changes_answers(value, *neutral)))
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a string or a list of strings")]
    enum Strings {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Strings::deserialize(deserializer)? {
        Strings::One(string) => vec![string],
        Strings::Many(strings) => strings,
    })
}

impl Default for GenerationConfig {
    /// The defaults of transformers' `GenerationConfig`, except that `top_k` keeps all tokens.
    fn default() -> Self {
        Self {
            do_sample: false,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            eos_token_id: TokenIdList::Absent,
            pad_token_id: None,
            max_new_tokens: None,
            stop_strings: Vec::new(),
            ignored: Vec::new(),
            bos_token_id: None,
        }
    }
}

impl GenerationConfig {
    /// Reads `generation_config.json`.
    ///
    /// # Errors
    /// No JSON, or a number outside its range.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        const FILE: &str = "generation_config.json";
        let mut fields = read_object(FILE, text)?;
        fields.retain(|_, value| !value.is_null());
        let sampled_without_top_k = !fields.contains_key("top_k");
        let ignored = ignored(&fields);
        let mut config: Self = read_fields(FILE, "", fields)?;
        config.ignored = ignored;
        if sampled_without_top_k && config.do_sample {
            // What transformers assumes for a sampled checkpoint that does not say.
            config.top_k = 50;
        }
        for (field, value, right, expected) in [
            ("temperature", config.temperature, config.temperature >= 0.0, "at least 0"),
            ("top_p", config.top_p, config.top_p > 0.0 && config.top_p <= 1.0, "above 0 and at most 1"),
            ("min_p", config.min_p, (0.0..=1.0).contains(&config.min_p), "between 0 and 1"),
            ("repetition_penalty", config.repetition_penalty, config.repetition_penalty > 0.0, "above 0"),
        ] {
            if !right {
                return Err(ConfigError::value(FILE, field, value, expected));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_honoured_is_named_and_neutral_values_are_not() {
        let text = r#"{"no_repeat_ngram_size": 3, "min_new_tokens": 0, "suppress_tokens": [4], "num_beams": 1,
            "bad_words_ids": [], "forced_eos_token_id": 0, "typical_p": 1.0, "max_new_tokens": 5,
            "stop_strings": "</answer>", "encoder_repetition_penalty": null}"#;
        let config = GenerationConfig::from_json(text).expect("a usable file");
        assert_eq!(config.ignored, ["forced_eos_token_id", "no_repeat_ngram_size", "suppress_tokens"]);
        assert_eq!((config.max_new_tokens, config.stop_strings), (Some(5), vec!["</answer>".to_owned()]));
        let several = GenerationConfig::from_json(r#"{"stop_strings": ["a", "b"]}"#).expect("a usable file");
        assert_eq!(several.stop_strings, ["a", "b"]);
        assert!(GenerationConfig::from_json(r#"{"stop_strings": 3}"#).is_err());
    }
}
