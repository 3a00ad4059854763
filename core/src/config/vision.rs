//! The vision tower's part of `config.json`.
//!
//! Qwen2.5-VL: <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/configuration_qwen2_5_vl.py>,
//! Qwen2-VL: <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_vl/configuration_qwen2_vl.py>

use super::ConfigError;
use super::text::MAX_LAYERS;
use serde::{Deserialize, Serialize};

/// Sizes of the vision tower.
///
/// Qwen2-VL spells them differently (`embed_dim` is the tower's width, `hidden_size` the language
/// model's, `mlp_ratio` instead of `intermediate_size`); [`super::ModelConfig`] translates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Number of blocks.
    pub depth: usize,
    /// Width of a patch's state.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Colour channels; only 3 is known.
    #[serde(alias = "in_channels")]
    pub in_chans: usize,
    /// Width of the language model that receives the features.
    pub out_hidden_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of the square of patches that become one token.
    pub spatial_merge_size: usize,
    /// Frames in a patch; a photo is repeated.
    pub temporal_patch_size: usize,
    /// Side of an attention window in pixels; 0 in Qwen2-VL, which has none.
    pub window_size: usize,
    /// Blocks that attend over the whole image; unused in Qwen2-VL, where all do.
    pub fullatt_block_indexes: Vec<usize>,
    /// Activation of the feed-forward layer: `silu`, or `quick_gelu` in Qwen2-VL.
    pub hidden_act: String,
    /// Video frames' spacing on the time axis; unused for photos, and kept as written, because
    /// transformers refuses `2.0` for `2`.
    pub tokens_per_second: serde_json::Number,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
}

impl Default for VisionConfig {
    /// The published Qwen2.5-VL tower; `out_hidden_size` always comes from the file.
    fn default() -> Self {
        Self {
            depth: 32,
            hidden_size: 1280,
            intermediate_size: 3420,
            num_heads: 16,
            in_chans: 3,
            out_hidden_size: 0,
            patch_size: 14,
            spatial_merge_size: 2,
            temporal_patch_size: 2,
            window_size: 112,
            fullatt_block_indexes: vec![7, 15, 23, 31],
            hidden_act: "silu".into(),
            tokens_per_second: 2.into(),
            initializer_range: 0.02,
        }
    }
}

impl VisionConfig {
    /// Width of one head.
    #[must_use]
    pub fn head_dim(&self) -> usize {
        self.hidden_size / self.num_heads
    }

    /// Numbers in one patch: channels × frames × side².
    #[must_use]
    pub fn patch_dim(&self) -> usize {
        self.in_chans * self.temporal_patch_size * self.patch_size * self.patch_size
    }

    /// Patches that become one token.
    #[must_use]
    pub fn merge_area(&self) -> usize {
        self.spatial_merge_size * self.spatial_merge_size
    }

    pub(super) fn check(&self, text_hidden_size: usize) -> Result<(), ConfigError> {
        const FILE: &str = "config.json";
        // As the image room has it: no product of a patch's sizes overflows.
        const MAX_PATCH_SIZE: usize = 256;
        const MAX_WIDTH: usize = 1 << 20;
        for (field, value, largest) in [
            ("vision_config.depth", self.depth, MAX_LAYERS),
            ("vision_config.hidden_size", self.hidden_size, MAX_WIDTH),
            ("vision_config.intermediate_size", self.intermediate_size, MAX_WIDTH),
            ("vision_config.num_heads", self.num_heads, MAX_WIDTH),
            ("vision_config.patch_size", self.patch_size, MAX_PATCH_SIZE),
            ("vision_config.spatial_merge_size", self.spatial_merge_size, MAX_PATCH_SIZE),
            ("vision_config.temporal_patch_size", self.temporal_patch_size, MAX_PATCH_SIZE),
        ] {
            if value == 0 {
                return Err(ConfigError::Missing { field: field.into() });
            }
            if value > largest {
                return Err(ConfigError::value(FILE, field, value, format!("at most {largest}")));
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) || !self.head_dim().is_multiple_of(4) {
            return Err(ConfigError::value(
                FILE,
                "vision_config.hidden_size",
                self.hidden_size,
                format!("num_heads ({}) times a multiple of 4", self.num_heads),
            ));
        }
        if self.in_chans != 3 {
            return Err(ConfigError::value(FILE, "vision_config.in_chans", self.in_chans, "3"));
        }
        if self.out_hidden_size != text_hidden_size {
            return Err(ConfigError::value(
                FILE,
                "vision_config.out_hidden_size",
                self.out_hidden_size,
                format!("the language model's hidden_size ({text_hidden_size})"),
            ));
        }
        let unit = self.patch_size * self.spatial_merge_size;
        if self.window_size != 0 && self.window_size < unit {
            let expected = format!("0 or at least patch_size x spatial_merge_size ({unit})");
            return Err(ConfigError::value(FILE, "vision_config.window_size", self.window_size, expected));
        }
        if let Some(index) = self.fullatt_block_indexes.iter().find(|index| **index >= self.depth) {
            let expected = format!("block numbers below depth ({})", self.depth);
            return Err(ConfigError::value(FILE, "vision_config.fullatt_block_indexes", index, expected));
        }
        Ok(())
    }
}
