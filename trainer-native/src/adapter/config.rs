//! `adapter_config.json`, as PEFT writes it:
//! <https://github.com/huggingface/peft/blob/v0.18.0/src/peft/tuners/lora/config.py>.

use anyhow::{Result, bail};
use fine_r1_core::weights::newer_name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The kind of adapter and its settings; fields that PEFT has beside these are kept from what was
/// read only where they change nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdapterConfig {
    /// Settings of single layers; none are supported.
    pub alpha_pattern: Map<String, Value>,
    /// Checkpoint that was adapted.
    pub base_model_name_or_path: Option<String>,
    /// Which biases are trained; none.
    pub bias: String,
    /// Whether weights are stored transposed; they are not.
    pub fan_in_fan_out: bool,
    /// Whether PEFT loads it frozen.
    pub inference_mode: bool,
    /// Numerator of the scale.
    pub lora_alpha: f64,
    /// Whether the second factor has a bias; it has none.
    pub lora_bias: bool,
    /// Share of the inputs that are set to zero in training.
    pub lora_dropout: f64,
    /// Modules that are trained as a whole.
    pub modules_to_save: Option<Vec<String>>,
    /// `LORA`
    pub peft_type: String,
    /// Rank of most layers.
    pub r: usize,
    /// Ranks of single layers; the weights tell them.
    pub rank_pattern: Map<String, Value>,
    /// Names of adapted layers, or one pattern; the weights tell them.
    pub target_modules: Value,
    /// `CAUSAL_LM`
    pub task_type: Option<String>,
    /// Whether lengths of rows are trained.
    pub use_dora: bool,
    /// Whether the scale is over the root of the rank.
    pub use_rslora: bool,
}

impl Default for AdapterConfig {
    fn default() -> Self {
        Self {
            alpha_pattern: Map::new(),
            base_model_name_or_path: None,
            bias: "none".into(),
            fan_in_fan_out: false,
            inference_mode: true,
            lora_alpha: 8.0,
            lora_bias: false,
            lora_dropout: 0.0,
            modules_to_save: None,
            peft_type: "LORA".into(),
            r: 8,
            rank_pattern: Map::new(),
            target_modules: Value::Null,
            task_type: Some("CAUSAL_LM".into()),
            use_dora: false,
            use_rslora: false,
        }
    }
}

impl AdapterConfig {
    /// Reads the file's text.
    ///
    /// # Errors
    /// No JSON of this form, or an adapter of another kind.
    pub fn from_json(text: &str) -> Result<Self> {
        let config: Self = serde_json::from_str(text)?;
        if config.peft_type != "LORA" {
            bail!("`peft_type` is {}, expected LORA", config.peft_type);
        }
        for (field, is_plain) in [
            ("alpha_pattern", config.alpha_pattern.is_empty()),
            ("bias", config.bias == "none"),
            ("fan_in_fan_out", !config.fan_in_fan_out),
            ("lora_bias", !config.lora_bias),
            ("r", config.r > 0),
            ("lora_alpha", config.lora_alpha.is_finite()),
        ] {
            if !is_plain {
                bail!("`{field}` has a value that is not supported");
            }
        }
        Ok(config)
    }

    /// The file's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        // PEFT's own files have whole numbers here.
        if self.lora_alpha.fract() == 0.0 {
            json["lora_alpha"] = Value::from(self.lora_alpha as i64);
        }
        serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"
    }

    /// The same, adapting the layers of these stored names.
    #[must_use]
    pub fn with_targets(self, names: &[String]) -> Self {
        Self { target_modules: names.iter().map(|name| newer_name(name)).collect(), ..self }
    }

    /// The factor before the change of a layer of this rank.
    #[must_use]
    pub fn scale(&self, rank: usize) -> f64 {
        let rank = rank as f64;
        self.lora_alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Whether another adapter can be gone on with under these settings.
    #[must_use]
    pub fn has_kind_of(&self, other: &Self) -> bool {
        let whole = |config: &Self| -> BTreeSet<String> {
            config.modules_to_save.iter().flatten().cloned().collect()
        };
        (self.r, self.lora_alpha, self.use_dora, self.use_rslora, whole(self))
            == (other.r, other.lora_alpha, other.use_dora, other.use_rslora, whole(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_other_kinds_are_refused() {
        let config = AdapterConfig { r: 16, lora_alpha: 32.0, use_rslora: true, ..AdapterConfig::default() };
        let read = AdapterConfig::from_json(&config.to_json()).expect("our own file");
        assert_eq!(read, config);
        assert!(config.to_json().contains("\"lora_alpha\": 32,"));
        assert_eq!((read.scale(16), AdapterConfig { use_rslora: false, ..read }.scale(16)), (8.0, 2.0));
        for (text, named) in [
            (r#"{"peft_type": "IA3"}"#, "IA3"),
            (r#"{"bias": "all"}"#, "`bias`"),
            (r#"{"alpha_pattern": {"q_proj": 4}}"#, "`alpha_pattern`"),
            (r#"{"r": 0}"#, "`r`"),
            ("{", "EOF"),
        ] {
            let error = AdapterConfig::from_json(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
