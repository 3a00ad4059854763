//! Peak memory of a run, from what training keeps: weights, the optimizer's memory, gradients, and
//! what the blocks of the largest micro-batch leave behind for the way back.
//!
//! What a block leaves is counted from burn-autodiff's operations: a product keeps both factors where
//! both are trained, a softmax what goes into its exponential, what comes out, and its result, `silu`
//! its input and its sigmoid.

use super::Load;
use crate::optimizer::{MatrixRule, Part};
use crate::sft::SftRecipe;
use fine_r1_core::config::ModelConfig;
use serde::Serialize;
use std::collections::BTreeMap;

/// Bytes of a number in f32, in which everything but weights and activations is held.
const F32: usize = size_of::<f32>();
/// What activations take over what is counted: the allocator keeps freed blocks that the next tensor
/// does not fit into, and gradients of several operations are in flight at a time. Measured on five
/// recipes of three sizes by `tests/reference/estimate.py`, which found 1.3 to 1.6.
const SURPLUS: f64 = 1.35;

/// Numbers of weights by what happens to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// All.
    pub total: usize,
    /// Those that are trained.
    pub trained: usize,
    /// Of these, those that Muon moves.
    pub by_muon: usize,
    /// The largest trained tensor.
    pub largest: usize,
    /// The head, where it is trained, or the embedding that serves as one.
    pub head: usize,
}

impl Weights {
    /// Counts tensors, given by stored name and shape.
    #[must_use]
    pub fn count(shapes: &BTreeMap<String, Vec<usize>>, recipe: &SftRecipe, tied: bool) -> Self {
        let mut weights = Self::default();
        for (name, shape) in shapes {
            let count = shape.iter().product::<usize>();
            weights.total += count;
            let is_frozen = match Part::of(name) {
                Part::VisionTower => recipe.freeze_vision_tower,
                Part::Merger => recipe.freeze_multi_modal_projector,
                Part::LanguageModel => recipe.freeze_language_model,
            };
            if is_frozen {
                continue;
            }
            weights.trained += count;
            weights.largest = weights.largest.max(count);
            let (embeds, is_head) = (name.starts_with("model.embed_tokens."), name.starts_with("lm_head."));
            if is_head || (tied && embeds) {
                weights.head = count;
            }
            if recipe.optim == MatrixRule::Muon && shape.len() == 2 && !embeds && !is_head {
                weights.by_muon += count;
            }
        }
        weights
    }
}

/// Where the bytes go at the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The program itself, with data set and tokenizer.
    pub program: usize,
    /// The model.
    pub weights: usize,
    /// Moments, masters and averages.
    pub optimizer: usize,
    /// Gradients of the weights.
    pub gradients: usize,
    /// What blocks leave for the way back, and what is in flight on it.
    pub activations: usize,
    /// The allocator's surplus.
    pub surplus: usize,
}

impl Memory {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> usize {
        self.program + self.weights + self.optimizer + self.gradients + self.activations + self.surplus
    }
}

/// Peak memory of a run whose steps have these micro-batches.
#[must_use]
pub fn peak(
    recipe: &SftRecipe,
    config: &ModelConfig,
    weights: &Weights,
    steps: &[Vec<Load>],
    program: usize,
) -> Memory {
    let width = if recipe.bf16 { F32 / 2 } else { F32 };
    let adam = weights.trained - weights.by_muon;
    let mut memories = 2 * adam + weights.by_muon;
    memories += if recipe.bf16 { weights.trained } else { 0 };
    memories += if recipe.ema_decay > 0.0 { weights.trained } else { 0 };

    // Gradients that are there at the same time: one set for every worker, and the sum so far.
    let workers = recipe.workers.min(steps.iter().map(Vec::len).max().unwrap_or(1)).max(1);
    let has_sum = steps.iter().any(|step| step.len() > workers);
    let sets = workers + usize::from(has_sum);
    let one_pass = |load: &Load| Activations::of(recipe, config, load, width);
    let group = |loads: &[Load]| -> usize {
        loads.iter().map(|load| one_pass(load).at_peak(weights.trained * F32, weights.head * F32)).sum()
    };
    let during_passes = steps.iter().flat_map(|step| step.chunks(workers)).map(group).max().unwrap_or(0);
    let sum = usize::from(has_sum) * weights.trained * F32;
    // The update: gradients go one by one, each with a handful of numbers a weight in flight.
    let during_update = weights.trained * F32 + 5 * weights.largest * F32;
    let busy = (during_passes + sum).max(during_update).max(sets * weights.trained * F32);
    let gradients = (sets * weights.trained * F32).min(busy);
    let (weights, optimizer) = (weights.total * width, memories * F32);
    let activations = busy - gradients;
    Memory {
        program,
        weights,
        optimizer,
        gradients,
        activations,
        surplus: ((SURPLUS - 1.0) * activations as f64) as usize,
    }
}

/// Bytes that one pass leaves behind.
#[derive(Debug, Clone, Copy)]
struct Activations {
    /// Kept until the way back comes to it.
    kept: usize,
    /// Of the block that is being gone through.
    in_flight: usize,
    /// Of a chunk of scores.
    scores: usize,
}

impl Activations {
    fn of(recipe: &SftRecipe, config: &ModelConfig, load: &Load, width: usize) -> Self {
        let (text, vision) = (&config.text, &config.vision);
        let tokens = load.tokens();
        let hidden = text.hidden_size;
        let kv_width = text.num_key_value_heads * text.head_dim();
        let scores = load.batch * text.num_attention_heads * load.seq * load.seq;
        let decoder = Block {
            stream: tokens * hidden,
            keys: tokens * kv_width,
            scores,
            inner: tokens * text.intermediate_size,
        };
        let of_vision = |[count, longest]: [usize; 2]| Block {
            stream: load.patches * vision.hidden_size,
            keys: load.patches * vision.hidden_size,
            scores: vision.num_heads * count * longest * longest,
            inner: load.patches * vision.intermediate_size,
        };
        let (windows, images) = (of_vision(load.windows), of_vision(load.images));
        let whole = match vision.window_size {
            0 => vision.depth,
            _ => vision.fullatt_block_indexes.iter().filter(|index| **index < vision.depth).count(),
        };
        let looks = !(recipe.freeze_vision_tower && recipe.freeze_multi_modal_projector);
        let merged = load.patches / vision.merge_area();
        let merger = load.patches * vision.hidden_size * 5 + merged * vision.out_hidden_size;
        let blocks = |of: &dyn Fn(&Block) -> usize| {
            let decoder = text.num_hidden_layers * of(&decoder);
            let tower = (vision.depth - whole) * of(&windows) + whole * of(&images) + merger;
            // A pass through a frozen tower leaves nothing.
            decoder + if looks { tower } else { 0 }
        };
        let largest = |of: &dyn Fn(&Block) -> usize| {
            let tower = if load.patches > 0 { of(&windows).max(of(&images)) } else { 0 };
            of(&decoder).max(tower)
        };
        let outside = 3 * decoder.stream + load.patches * vision.patch_dim();
        let (kept, in_flight) = if recipe.gradient_checkpointing {
            (blocks(&|block| block.stream), largest(&|block| block.kept() + block.in_flight()))
        } else {
            (blocks(&Block::kept), largest(&Block::in_flight))
        };
        let rows = load.labels.min((crate::sft::MAX_SCORES / text.vocab_size).max(1));
        Self {
            kept: (kept + outside) * width,
            in_flight: in_flight * width,
            scores: 5 * rows * text.vocab_size * F32,
        }
    }

    /// The pass at its worst: before the way back with all that is kept, or at its end with all
    /// gradients.
    fn at_peak(&self, gradients: usize, head: usize) -> usize {
        let before = self.kept + self.scores.max(self.in_flight) + head;
        let after = gradients + head + self.in_flight;
        before.max(after)
    }
}

/// Numbers that one block handles.
struct Block {
    /// Its input.
    stream: usize,
    /// Keys, and as many values.
    keys: usize,
    /// Attention.
    scores: usize,
    /// The feed-forward layer's width.
    inner: usize,
}

impl Block {
    /// Both norms keep their input, scaled, and their result, attention its factors and its result, the
    /// softmax and the gated layer as above.
    fn kept(&self) -> usize {
        8 * self.stream + 2 * self.keys + 3 * self.scores + 5 * self.inner
    }

    /// What going back through the widest place takes besides.
    fn in_flight(&self) -> usize {
        (3 * self.inner).max(6 * self.scores) + 2 * self.stream
    }
}
