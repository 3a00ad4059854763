//! How many weights a run holds and trains.

use super::Training;
use crate::adapter::{chosen_layers, is_within};
use crate::optimizer::{MatrixRule, Part};
use anyhow::Result;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::weights::Precision;
use serde::Serialize;
use std::collections::BTreeMap;

/// Numbers of weights by what happens to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// All, adapters included.
    pub total: usize,
    /// Those that are trained.
    pub trained: usize,
    /// Of these, those that Muon moves.
    pub by_muon: usize,
    /// The largest trained tensor.
    pub largest: usize,
    /// The head, where it is trained, or the embedding that serves as one.
    pub head: usize,
    /// Bytes of all of them, without the optimizer's masters.
    pub bytes: usize,
    /// The same without adapters.
    pub base_bytes: usize,
}

/// A layer with an adapter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapted {
    /// The name of its kind, such as `q_proj`.
    pub kind: String,
    /// Where it belongs.
    pub part: Part,
    /// Width of output and input.
    pub dims: [usize; 2],
}

/// The layers that a run adapts.
///
/// # Errors
/// The model has none of those that the recipe names.
pub fn adapted(training: &Training, model: &mut VisionLanguageModel) -> Result<Vec<Adapted>> {
    if !training.adapter.is_lora() {
        return Ok(Vec::new());
    }
    let chosen = chosen_layers(model, &training.adapter, training.frozen)?;
    let layers = model.linears_mut().into_iter().filter(|(name, _)| chosen.contains(name));
    Ok(layers
        .map(|(name, layer)| Adapted {
            kind: name.rsplit('.').next().unwrap_or_default().to_owned(),
            part: Part::of(&name),
            dims: layer.dims(),
        })
        .collect())
}

impl Weights {
    /// Counts tensors, given by stored name and shape, and the adapters beside them. `matrices` are the names
    /// of those that can be packed, `precision` is that of the others.
    #[must_use]
    pub fn count(
        shapes: &BTreeMap<String, Vec<usize>>,
        training: &Training,
        adapted: &[Adapted],
        matrices: &[String],
        precision: Precision,
    ) -> Self {
        let tied = !shapes.keys().any(|name| name.starts_with("lm_head."));
        let whole = training.adapter.whole_modules();
        let is_lora = training.adapter.is_lora();
        let mut weights = Self::default();
        for (name, shape) in shapes {
            let count = shape.iter().product::<usize>();
            weights.total += count;
            weights.bytes += match (training.adapter.quantizer(), shape.as_slice()) {
                (Some(quantizer), [output, input]) if matrices.contains(name) && !is_within(name, &whole) => {
                    quantizer.bytes([*output, *input])
                }
                _ => count * precision.bytes(),
            };
            let is_frozen = match Part::of(name) {
                _ if is_lora => !is_within(name, &whole),
                Part::VisionTower => training.frozen.vision_tower,
                Part::Merger => training.frozen.merger,
                Part::LanguageModel => training.frozen.language_model,
            };
            if is_frozen {
                continue;
            }
            let (embeds, is_head) = (name.starts_with("model.embed_tokens."), name.starts_with("lm_head."));
            if is_head || (tied && embeds) {
                weights.head = count;
            }
            weights.train(count, training, shape.len() == 2 && !embeds && !is_head);
        }
        weights.base_bytes = weights.bytes;
        for Adapted { dims: [output, input], .. } in adapted {
            let rank = training.adapter.lora_rank;
            let lengths = if training.adapter.use_dora { *output } else { 0 };
            for (count, is_matrix) in [(rank * input, true), (output * rank, true), (lengths, false)] {
                weights.total += count;
                weights.bytes += count * size_of::<f32>();
                weights.train(count, training, is_matrix);
            }
        }
        weights
    }

    fn train(&mut self, count: usize, training: &Training, is_matrix: bool) {
        self.trained += count;
        self.largest = self.largest.max(count);
        if training.optimizer.matrices == MatrixRule::Muon && is_matrix {
            self.by_muon += count;
        }
    }
}
