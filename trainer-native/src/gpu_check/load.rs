//! How much is measured.

use fine_r1_core::config::{ModelConfig, Preset};
use fine_r1_core::weights::Precision;
use serde::Serialize;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Answers that are decoded together.
    pub batches: Vec<usize>,
    /// Tokens of an answer.
    pub new_tokens: usize,
    /// Side of the square photo, in pixels.
    pub photo_side: u32,
    /// Rounds that a median is taken of.
    pub rounds: usize,
    /// Side of the square matrices whose product is the ceiling.
    pub matmul_side: usize,
    /// Numbers that are copied for the other ceiling, in MiB.
    pub copy_mib: usize,
    /// Samples of a step of fine-tuning.
    pub sft_samples: usize,
    /// Questions of a step of TAPO; each gets five answers from each of two pictures.
    pub tapo_questions: usize,
}

/// Sizes that measurements share, ours and torch's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sizes {
    /// Bits and form of a number, as torch calls it.
    pub dtype: &'static str,
    /// The same, as we call it.
    #[serde(skip)]
    pub precision: Precision,
    /// Answers that are decoded together.
    pub batches: Vec<usize>,
    /// Tokens of an answer.
    pub new_tokens: usize,
    /// Side of the square photo, in pixels.
    pub photo_side: u32,
    /// Rounds that a median is taken of.
    pub rounds: usize,
    /// Side of the square matrices whose product is the ceiling.
    pub matmul_side: usize,
    /// What is copied for the other ceiling.
    pub copy_bytes: usize,
    /// Samples of a step of fine-tuning.
    pub sft_samples: usize,
    /// Questions of a step of TAPO.
    pub tapo_questions: usize,
    /// Answers to each of a question's two pictures.
    pub tapo_answers: usize,
    /// Answers of a micro-batch.
    pub tapo_micro_batch: usize,
    /// Rank of the adapters.
    pub lora_rank: usize,
    /// What products read.
    #[serde(skip)]
    pub weights: Weights,
}

impl Sizes {
    /// Sizes for a checkpoint.
    #[must_use]
    pub fn new(preset: &Preset, precision: Precision, load: &Load) -> Self {
        Self {
            dtype: precision.torch_name(),
            precision,
            batches: load.batches.clone(),
            new_tokens: load.new_tokens,
            photo_side: load.photo_side,
            rounds: load.rounds,
            matmul_side: load.matmul_side,
            copy_bytes: load.copy_mib << 20,
            sft_samples: load.sft_samples,
            tapo_questions: load.tapo_questions,
            tapo_answers: 5,
            tapo_micro_batch: 4,
            lora_rank: 8,
            weights: Weights::of(&preset.model),
        }
    }
}

/// Weights of a model's matrices, which products read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weights {
    /// Of the vision tower and its merger.
    pub vision: usize,
    /// Of the decoder's blocks.
    pub decoder: usize,
    /// Of the head, be it its own or the embedding.
    pub head: usize,
    /// Numbers of keys and values that a token leaves in the cache.
    pub cache: usize,
}

impl Weights {
    /// Counts by the sizes of a configuration.
    #[must_use]
    pub fn of(config: &ModelConfig) -> Self {
        let (text, vision) = (&config.text, &config.vision);
        let kv_width = text.num_key_value_heads * text.head_dim();
        let attention = 2 * text.hidden_size * (text.hidden_size + kv_width);
        let feed_forward = 3 * text.hidden_size * text.intermediate_size;
        let merged = vision.hidden_size * vision.spatial_merge_size.pow(2);
        let vision_block = 4 * vision.hidden_size.pow(2) + 3 * vision.hidden_size * vision.intermediate_size;
        Self {
            vision: vision.depth * vision_block
                + vision.patch_dim() * vision.hidden_size
                + merged * (merged + vision.out_hidden_size),
            decoder: text.num_hidden_layers * (attention + feed_forward),
            head: text.vocab_size * text.hidden_size,
            cache: 2 * text.num_hidden_layers * kv_width,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use fine_r1_core::config::preset;
    use fine_r1_core::model::VisionLanguageModel;

    #[test]
    fn all_matrices_of_a_model_are_counted() {
        let config = preset("nano").expect("a preset").model;
        let weights = Weights::of(&config);
        let mut model = VisionLanguageModel::new(&config, &Device::flex());
        let head = config.text.vocab_size * config.text.hidden_size;
        let embedding = config.vision.patch_dim() * config.vision.hidden_size;
        let matrices: usize =
            model.linears_mut().iter().map(|(_, layer)| layer.dims().iter().product::<usize>()).sum();
        assert_eq!(weights.vision + weights.decoder + weights.head, matrices + head + embedding);
    }
}
