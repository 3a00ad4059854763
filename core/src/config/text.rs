//! The language model's part of `config.json`.
//!
//! Fields: <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/configuration_qwen2_5_vl.py>

use super::{ConfigError, RopeScaling};
use serde::{Deserialize, Serialize};

/// The most blocks of either tower; the largest published model has 80.
pub(super) const MAX_LAYERS: usize = 1000;

/// Sizes and constants of the decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Width of a token's state (`hidden`).
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of decoder blocks.
    pub num_hidden_layers: usize,
    /// Query heads (`heads`).
    pub num_attention_heads: usize,
    /// Key and value heads (`kv_heads`), a divisor of `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Number of token ids (`vocab`); may be larger than the tokenizer's.
    pub vocab_size: usize,
    /// Longest context, in tokens.
    pub max_position_embeddings: usize,
    /// Activation of the feed-forward layer; only `silu` is known.
    pub hidden_act: String,
    /// Added to the variance in RMSNorm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Which rotary frequencies follow the time, height and width axis, and how they are stretched.
    pub rope_scaling: RopeScaling,
    /// Whether the output head is the transposed embedding.
    pub tie_word_embeddings: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// Dropout on attention weights while training.
    pub attention_dropout: f64,
    /// Sliding-window attention; `true` is refused.
    pub use_sliding_window: bool,
    /// Width of the sliding window, unused.
    pub sliding_window: Option<usize>,
    /// First layer with a sliding window, unused.
    pub max_window_layers: usize,
    /// Whether generation keeps a cache; it always does here.
    pub use_cache: bool,
}

impl Default for TextConfig {
    /// The 3B model's constants; the sizes always come from the file.
    fn default() -> Self {
        Self {
            hidden_size: 0,
            intermediate_size: 0,
            num_hidden_layers: 0,
            num_attention_heads: 0,
            num_key_value_heads: 0,
            vocab_size: 0,
            max_position_embeddings: 32768,
            hidden_act: "silu".into(),
            rms_norm_eps: 1e-6,
            rope_theta: 1_000_000.0,
            rope_scaling: RopeScaling::mrope([0; 3]),
            tie_word_embeddings: false,
            initializer_range: 0.02,
            attention_dropout: 0.0,
            use_sliding_window: false,
            sliding_window: None,
            max_window_layers: 0,
            use_cache: true,
        }
    }
}

impl TextConfig {
    /// Width of one head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Query heads that share one key and value head.
    #[must_use]
    pub fn heads_per_kv_head(&self) -> usize {
        self.num_attention_heads / self.num_key_value_heads
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        const FILE: &str = "config.json";
        for (field, value) in [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ] {
            if value == 0 {
                return Err(ConfigError::Missing { field: field.into() });
            }
            if value > 1 << 24 {
                return Err(ConfigError::value(FILE, field, value, "a plausible size"));
            }
        }
        if self.num_hidden_layers > MAX_LAYERS {
            let expected = format!("at most {MAX_LAYERS}");
            return Err(ConfigError::value(FILE, "num_hidden_layers", self.num_hidden_layers, expected));
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let expected = format!("a multiple of num_attention_heads ({})", self.num_attention_heads);
            return Err(ConfigError::value(FILE, "hidden_size", self.hidden_size, expected));
        }
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            let expected = format!("a divisor of num_attention_heads ({})", self.num_attention_heads);
            return Err(ConfigError::value(FILE, "num_key_value_heads", self.num_key_value_heads, expected));
        }
        if self.hidden_act != "silu" {
            return Err(ConfigError::value(FILE, "hidden_act", &self.hidden_act, "silu"));
        }
        if self.use_sliding_window {
            return Err(ConfigError::value(FILE, "use_sliding_window", true, "false"));
        }
        for (field, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if value <= 0.0 {
                return Err(ConfigError::value(FILE, field, value, "above 0"));
            }
        }
        let frequencies = self.rope_scaling.mrope_section.into_iter().fold(0, usize::saturating_add);
        if frequencies.saturating_mul(2) != self.head_dim() {
            return Err(ConfigError::value(
                FILE,
                "rope_scaling.mrope_section",
                format!("{:?}", self.rope_scaling.mrope_section),
                format!("three numbers that sum to half the head width ({})", self.head_dim() / 2),
            ));
        }
        Ok(())
    }
}
