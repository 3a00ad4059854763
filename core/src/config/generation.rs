//! `generation_config.json`: how the checkpoint wants to be sampled.

use super::ConfigError;
use super::fields::{read_fields, read_object};
use serde::{Deserialize, Serialize};

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
        let mut config: Self = read_fields(FILE, "", fields)?;
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
