//! How fast this device trains, measured on single blocks of the model's own sizes.

use super::{Load, Weights};
use crate::optimizer::{AdamW, NamedGradients};
use crate::sft::SftRecipe;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Distribution, Tensor};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::language::{Context, DecoderBlock, rotary};
use fine_r1_core::model::positions::Positions;
use fine_r1_core::model::vision::{Layout, VisionBlock};
use fine_r1_core::model::{Linear, LinearConfig, mask};
use std::time::Instant;

/// The head is measured with no more tokens than this, and reckoned up.
const MAX_VOCAB: usize = 8192;
/// Passes that are measured after one that is not.
const ROUNDS: usize = 3;

/// Seconds that parts of a micro-batch and of a step take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// A micro-batch, forwards and backwards.
    pub micro_batch_secs: f64,
    /// The optimizer's update.
    pub update_secs: f64,
}

impl Pace {
    /// Measures with a micro-batch of this load.
    #[must_use]
    pub fn measure(
        recipe: &SftRecipe,
        config: &ModelConfig,
        weights: &Weights,
        load: &Load,
        device: &Device,
    ) -> Self {
        let probe = Probe { recipe, config, load, device: device.clone().autodiff() };
        let (text, vision) = (&config.text, &config.vision);
        let whole = match vision.window_size {
            0 => vision.depth,
            _ => vision.fullatt_block_indexes.iter().filter(|index| **index < vision.depth).count(),
        };
        let mut micro_batch_secs = text.num_hidden_layers as f64 * probe.decoder_block() + probe.head();
        if load.patches > 0 {
            micro_batch_secs += whole as f64 * probe.vision_block(true);
            micro_batch_secs += (vision.depth - whole) as f64 * probe.vision_block(false);
        }
        Self { micro_batch_secs, update_secs: probe.update() * weights.trained as f64 }
    }
}

struct Probe<'run> {
    recipe: &'run SftRecipe,
    config: &'run ModelConfig,
    load: &'run Load,
    device: Device,
}

impl Probe<'_> {
    fn dtype(&self) -> DType {
        if self.recipe.bf16 { DType::BF16 } else { DType::F32 }
    }

    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &self.device).cast(self.dtype())
    }

    fn decoder_block(&self) -> f64 {
        let (text, Load { batch, seq, .. }) = (&self.config.text, self.load);
        let block = self.prepare(DecoderBlock::new(text, &self.device), self.recipe.freeze_language_model);
        let axis: Vec<i32> = (0..*seq as i32).collect();
        let row = Positions { axes: [axis.clone(), axis.clone(), axis], next: *seq as i32 };
        let context = Context {
            rotary: rotary(text, &vec![row; *batch], &self.device),
            mask: mask::causal(*seq, *seq, &vec![0; *batch], &self.device),
        };
        let input = self.random([*batch, *seq, text.hidden_size]);
        self.time(&block, input, |block, states| block.forward(states, &context, None))
    }

    fn vision_block(&self, whole: bool) -> f64 {
        let vision = &self.config.vision;
        let frozen = self.recipe.freeze_vision_tower;
        let block = VisionBlock::new(self.config.architecture, vision, &self.device);
        let block = self.prepare(block, frozen);
        let layout = Layout::new(vision, &self.load.grids, &self.device);
        let segments = if whole { &layout.images } else { &layout.windows };
        let input = self.random([self.load.patches, vision.hidden_size]);
        if frozen && self.recipe.freeze_multi_modal_projector {
            let (block, input) = (block.valid(), input.inner());
            return fastest(|| drop(block.forward(input.clone(), &layout, segments).into_data()));
        }
        self.time(&block, input, |block, states| block.forward(states, &layout, segments))
    }

    fn head(&self) -> f64 {
        let text = &self.config.text;
        let vocab = text.vocab_size.min(MAX_VOCAB);
        let rows = self.load.labels.clamp(1, crate::sft::MAX_SCORES / vocab);
        let head = LinearConfig { input: text.hidden_size, output: vocab, bias: false, std: 0.02 };
        let head = self.prepare(head.init(&self.device), self.recipe.freeze_language_model);
        let secs = self.time(&head, self.random([rows, text.hidden_size]), |head, states| {
            softmax(head.forward(states), 1)
        });
        secs * (text.vocab_size as f64 / vocab as f64) * (self.load.labels as f64 / rows as f64)
    }

    /// Seconds a weight.
    fn update(&self) -> f64 {
        const SIDE: usize = 512;
        let layer = LinearConfig { input: SIDE, output: SIDE, bias: false, std: 0.02 };
        let mut layer: Linear = self.prepare(layer.init(&self.device), false);
        let mut optimizer = AdamW::new(self.recipe.optimizer());
        let gradient = self.random([SIDE * SIDE]).cast(DType::F32).inner();
        let secs = fastest(|| {
            let gradients = NamedGradients::from([("weight".to_owned(), gradient.clone())]);
            layer = optimizer.update(layer.clone(), gradients, 0.0);
            drop(layer.weight.val().inner().narrow(0, 0, 1).into_data());
        });
        secs / (SIDE * SIDE) as f64
    }

    fn prepare<M: Module>(&self, module: M, frozen: bool) -> M {
        let module = if frozen { module.no_grad() } else { module };
        if self.recipe.bf16 { crate::checkpoint::cast(module, DType::BF16) } else { module }
    }

    /// Seconds of a pass forwards and backwards, with what recomputation adds.
    fn time<M: Module, const IN: usize, const OUT: usize>(
        &self,
        module: &M,
        input: Tensor<IN>,
        forward: impl Fn(&M, Tensor<IN>) -> Tensor<OUT>,
    ) -> f64 {
        let plain = module.valid();
        fastest(|| {
            if self.recipe.gradient_checkpointing {
                drop(forward(&plain, input.clone().inner()));
            }
            let leaf = input.clone().detach().require_grad();
            let mut gradients = forward(module, leaf.clone()).sum().backward();
            drop(leaf.grad_remove(&mut gradients).map(Tensor::into_data));
        })
    }
}

/// Seconds of the fastest round: what the machine can do when nothing is beside it.
fn fastest(mut work: impl FnMut()) -> f64 {
    work();
    (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            work();
            begun.elapsed().as_secs_f64()
        })
        .fold(f64::MAX, f64::min)
}
