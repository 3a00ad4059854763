//! Peak memory of a run, from what training keeps: weights, the optimizer's memory, gradients, and
//! what the blocks of the largest micro-batch leave behind for the way back.
//!
//! What a block leaves is counted from burn-autodiff's operations: a product keeps both factors where
//! both are trained, a softmax what goes into its exponential, what comes out, and its result, `silu`
//! its input and its sigmoid. Passes of our own keep less: a softmax its result, a gate its two inputs, a norm
//! its input.

use super::{Adapted, Load, Training, Weights};
use crate::optimizer::Part;
use crate::trunk::Keep;
use fine_r1_core::config::{Architecture, ModelConfig};
use serde::Serialize;

/// Bytes of a number in f32, in which everything but weights and activations is held.
const F32: usize = size_of::<f32>();
/// What activations take over what is counted: the allocator keeps freed blocks that the next tensor
/// does not fit into, and gradients of several operations are in flight at a time. `tests/reference/estimate.py`
/// measures it on five recipes of three sizes.
const SURPLUS: f64 = 1.35;
/// What the allocator keeps for every worker, of blocks of every size that once were: measured on a tiny checkpoint,
/// whatever its batches; several threads may keep half as much again.
const KEPT: usize = 20 << 20;

/// Where the bytes go at the peak.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The program itself, with data set and tokenizer.
    pub program: usize,
    /// The model.
    pub weights: usize,
    /// A second model that the first is held near.
    pub reference: usize,
    /// Moments, masters and averages.
    pub optimizer: usize,
    /// Pictures of a step, and what the vision tower makes of them where that is kept.
    pub pictures: usize,
    /// Keys and values of answers in the making.
    pub cache: usize,
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
        let models = self.weights + self.reference + self.optimizer;
        let step = self.pictures + self.cache + self.gradients + self.activations;
        self.program + models + step + self.surplus
    }

    /// What the allocator holds over what is counted, where so many bytes are in flight and so many work.
    #[must_use]
    pub fn surplus_of(bytes: usize, workers: usize) -> usize {
        workers * KEPT + ((SURPLUS - 1.0) * bytes as f64) as usize
    }
}

/// A model and how it is trained.
#[derive(Debug, Clone, Copy)]
pub struct Trainee<'run> {
    /// The recipe.
    pub training: &'run Training,
    /// Sizes of the model.
    pub config: &'run ModelConfig,
    /// Its weights.
    pub weights: &'run Weights,
    /// Its adapters.
    pub adapted: &'run [Adapted],
    /// Bytes of a number that blocks compute with.
    pub width: usize,
    /// Whether they compute in passes of our own.
    pub has_passes: bool,
}

impl Trainee<'_> {
    /// Peak memory of updates that have these micro-batches.
    #[must_use]
    pub fn peak(&self, updates: &[Vec<Load>], program: usize) -> Memory {
        let Self { training, weights, .. } = *self;
        // Gradients that are there at the same time: one set for every worker, and the sum so far.
        let workers = training.workers.min(updates.iter().map(Vec::len).max().unwrap_or(1)).max(1);
        let has_sum = updates.iter().any(|update| update.len() > workers);
        let sets = workers + usize::from(has_sum);
        let one_pass = |load: &Load| Activations::of(self, load);
        let group = |loads: &[Load]| -> usize {
            loads.iter().map(|load| one_pass(load).at_peak(weights.trained * F32, weights.head * F32)).sum()
        };
        let groups = || updates.iter().flat_map(|update| update.chunks(workers));
        let during_passes = groups().map(group).max().unwrap_or(0);
        // Blocks that are free again when gradients are made, and of other sizes than those.
        let left = groups()
            .map(|loads| loads.iter().map(|load| one_pass(load).before_gradients()).sum())
            .max()
            .unwrap_or(0);
        let sum = usize::from(has_sum) * weights.trained * F32;
        // The update: gradients go one by one, each with a handful of numbers a weight in flight.
        let during_update = weights.trained * F32 + 5 * weights.largest * F32;
        let busy = (during_passes + sum).max(during_update).max(sets * weights.trained * F32);
        let gradients = (sets * weights.trained * F32).min(busy);
        let activations = busy - gradients;
        Memory {
            program,
            weights: weights.bytes,
            optimizer: self.optimizer(),
            gradients,
            activations,
            surplus: Memory::surplus_of(left, workers),
            ..Memory::default()
        }
    }

    /// Bytes that the optimizer remembers.
    #[must_use]
    pub fn optimizer(&self) -> usize {
        let Self { training, weights, .. } = *self;
        let adam = weights.trained - weights.by_muon;
        let mut memories = 2 * adam + weights.by_muon;
        // Adapters are held in f32 and need no masters.
        memories += if training.bf16 && !training.adapter.is_lora() { weights.trained } else { 0 };
        memories += if training.optimizer.average_decay > 0.0 { weights.trained } else { 0 };
        memories * F32
    }

    /// Bytes that are in flight in a pass without gradient.
    #[must_use]
    pub fn in_flight(&self, load: &Load) -> usize {
        Activations::of(self, load).in_flight
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
    fn of(trainee: &Trainee<'_>, load: &Load) -> Self {
        let Trainee { training, config, adapted, width, has_passes, .. } = *trainee;
        let (text, vision) = (&config.text, &config.vision);
        let tokens = load.tokens();
        let hidden = text.hidden_size;
        let kv_width = text.num_key_value_heads * text.head_dim();
        let scores = load.batch * text.num_attention_heads * load.seq * load.seq;
        let is_lora = training.adapter.is_lora();
        let frozen = training.frozen;
        let decoder = Block {
            stream: tokens * hidden,
            keys: tokens * kv_width,
            scores,
            inner: tokens * text.intermediate_size,
            softmax_passes: has_passes,
            layer_passes: has_passes,
            read: Read::of(is_lora || frozen.language_model, adapted, Part::LanguageModel),
        };
        let of_vision = |[count, longest]: [usize; 2]| Block {
            stream: load.patches * vision.hidden_size,
            keys: load.patches * vision.hidden_size,
            scores: vision.num_heads * count * longest * longest,
            inner: load.patches * vision.intermediate_size,
            softmax_passes: has_passes,
            layer_passes: has_passes && config.architecture == Architecture::Qwen25Vl,
            read: Read::of(is_lora || frozen.vision_tower, adapted, Part::VisionTower),
        };
        let (windows, images) = (of_vision(load.windows), of_vision(load.images));
        let whole = match vision.window_size {
            0 => vision.depth,
            _ => vision.fullatt_block_indexes.iter().filter(|index| **index < vision.depth).count(),
        };
        let looks = !(frozen.vision_tower && frozen.merger);
        // A frozen tower leaves nothing, but the inputs of its blocks are kept as soon as its merger is trained.
        let is_kept = !frozen.vision_tower || (looks && training.keep == Keep::BlockInputs);
        let merged = load.patches / vision.merge_area();
        let merger = load.patches * vision.hidden_size * 5 + merged * vision.out_hidden_size;
        let blocks = |of: &dyn Fn(&Block) -> usize| {
            let decoder = text.num_hidden_layers * of(&decoder);
            let tower = (vision.depth - whole) * of(&windows) + whole * of(&images);
            decoder + if is_kept { tower } else { 0 } + if looks { merger } else { 0 }
        };
        let largest = |of: &dyn Fn(&Block) -> usize| {
            let tower = if load.patches > 0 { of(&windows).max(of(&images)) } else { 0 };
            of(&decoder).max(tower)
        };
        let outside = 3 * decoder.stream + load.patches * vision.patch_dim();
        let (kept, in_flight) = match training.keep {
            Keep::BlockInputs => {
                (blocks(&|block| block.stream), largest(&|block| block.kept() + block.in_flight()))
            }
            Keep::Activations => (blocks(&Block::kept), largest(&Block::in_flight)),
        };
        let beside: usize = adapted.iter().map(|layer| beside(training, layer, load)).sum();
        let layers = text.num_hidden_layers + if looks { vision.depth } else { 0 };
        let (kept_beside, in_flight_beside) = match training.keep {
            Keep::BlockInputs => (0, beside / layers.max(1)),
            Keep::Activations => (beside, 0),
        };
        let rows = load.labels.min((crate::sft::MAX_SCORES / text.vocab_size).max(1));
        Self {
            kept: load.passes * ((kept + outside) * width + kept_beside),
            in_flight: in_flight * width + in_flight_beside,
            scores: 5 * rows * text.vocab_size * F32,
        }
    }

    /// What is kept, and what is in flight, when the way back begins.
    fn before_gradients(&self) -> usize {
        self.kept + self.scores.max(self.in_flight)
    }

    /// The pass at its worst: before the way back with all that is kept, or at its end with all
    /// gradients.
    fn at_peak(&self, gradients: usize, head: usize) -> usize {
        let before = self.before_gradients() + head;
        let after = gradients + head + self.in_flight;
        before.max(after)
    }
}

/// Bytes that an adapter leaves besides the input of its layer: what the first factor makes of it, with dropout
/// the input that is left and where, with `DoRA` both products.
fn beside(training: &Training, layer: &Adapted, load: &Load) -> usize {
    let rows = if layer.part == Part::LanguageModel { load.tokens() } else { load.patches };
    let [output, input] = layer.dims;
    let dropped = if training.adapter.lora_dropout > 0.0 { 2 * input } else { 0 };
    let products = if training.adapter.use_dora { 2 * output } else { 0 };
    rows * (training.adapter.lora_rank + dropped + products) * F32
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
    /// Whether passes of our own compute its softmax.
    softmax_passes: bool,
    /// The same of its norms and its gate, which Qwen2-VL's tower has none of.
    layer_passes: bool,
    /// What its trained weights keep.
    read: Read,
}

/// Which inputs are kept because a weight that they are multiplied with is trained, or an adapter beside it.
struct Read {
    norms: bool,
    attention: bool,
    attended: bool,
    mlp: bool,
    inner: bool,
}

impl Read {
    fn of(frozen: bool, adapted: &[Adapted], part: Part) -> Self {
        let any = |kinds: &[&str]| {
            let is_adapted = |layer: &Adapted| layer.part == part && kinds.contains(&layer.kind.as_str());
            !frozen || adapted.iter().any(is_adapted)
        };
        Self {
            norms: !frozen,
            attention: any(&["q_proj", "k_proj", "v_proj", "qkv"]),
            attended: any(&["o_proj", "proj"]),
            mlp: any(&["gate_proj", "up_proj", "fc1"]),
            inner: any(&["down_proj", "fc2"]),
        }
    }
}

impl Block {
    /// Both norms keep their input and, where their weight is trained, what it scales, if no pass does both; attention
    /// keeps its factors, the softmax and the gated layer what is said above; a trained matrix keeps its input.
    fn kept(&self) -> usize {
        let Read { norms, attention, attended, mlp, inner } = self.read;
        let kept = |is_kept: bool| usize::from(is_kept);
        let scaled = 2 * kept(norms && !self.layer_passes);
        let streams = 3 + scaled + kept(attention) + kept(attended) + kept(mlp);
        let scores = if self.softmax_passes { 1 } else { 3 };
        let gated = if self.layer_passes { 2 } else { 4 };
        streams * self.stream + 2 * self.keys + scores * self.scores + (gated + kept(inner)) * self.inner
    }

    /// What going back through the widest place takes besides.
    fn in_flight(&self) -> usize {
        let inner = if self.layer_passes { 1 } else { 3 };
        let scores = if self.softmax_passes { 4 } else { 6 };
        (inner * self.inner).max(scores * self.scores) + 2 * self.stream
    }
}
