//! How fast this device trains and decodes, measured on single blocks of the model's own sizes.

use super::{Load, Trainee};
use crate::optimizer::{AdamW, NamedGradients};
use crate::trunk::Keep;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Distribution, Tensor};
use fine_r1_core::generate::{Sampler, SamplingOptions};
use fine_r1_core::model::cache::CacheShape;
use fine_r1_core::model::language::{Context, DecoderBlock, rotary};
use fine_r1_core::model::positions::Positions;
use fine_r1_core::model::vision::{Layout, VisionBlock};
use fine_r1_core::model::{Cache, Linear, LinearConfig, mask};
use std::time::Instant;

/// The head is measured with no more tokens than this, and reckoned up.
const MAX_VOCAB: usize = 8192;
/// Passes that are measured after one that is not.
const ROUNDS: usize = 3;

/// Seconds of a pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// In the decoder and its head.
    pub language_secs: f64,
    /// In the vision tower.
    pub vision_secs: f64,
}

impl Pace {
    /// The whole pass.
    #[must_use]
    pub fn secs(self) -> f64 {
        self.language_secs + self.vision_secs
    }
}

/// Which ways a pass goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ways {
    /// Forwards.
    Forwards,
    /// Forwards and backwards, with what recomputation adds.
    Both,
}

/// What is measured, and where.
#[derive(Debug)]
pub struct Probe<'run> {
    trainee: Trainee<'run>,
    dtype: DType,
    device: Device,
}

impl<'run> Probe<'run> {
    /// Measures blocks that compute in a precision.
    #[must_use]
    pub fn new(trainee: Trainee<'run>, dtype: DType, device: &Device) -> Self {
        Self { trainee, dtype, device: device.clone().autodiff() }
    }

    /// A pass of a micro-batch of this load.
    #[must_use]
    pub fn pass(&self, load: &Load, ways: Ways) -> Pace {
        let (text, vision) = (&self.trainee.config.text, &self.trainee.config.vision);
        let whole = match vision.window_size {
            0 => vision.depth,
            _ => vision.fullatt_block_indexes.iter().filter(|index| **index < vision.depth).count(),
        };
        let block = self.decoder_block(load, ways);
        let language_secs = text.num_hidden_layers as f64 * block + self.head(load.labels, ways);
        let vision_secs = match load.patches {
            0 => 0.0,
            _ => {
                whole as f64 * self.vision_block(load, true, ways)
                    + (vision.depth - whole) as f64 * self.vision_block(load, false, ways)
            }
        };
        Pace { language_secs, vision_secs }
    }

    /// An update by the optimizer.
    #[must_use]
    pub fn update(&self) -> f64 {
        const SIDE: usize = 512;
        let layer = LinearConfig { input: SIDE, output: SIDE, bias: false, std: 0.02 };
        let mut layer: Linear = self.prepare(layer.init(&self.device), false);
        let mut optimizer = AdamW::new(self.trainee.training.optimizer);
        let gradient = self.random([SIDE * SIDE]).cast(DType::F32).inner();
        let secs = fastest(|| {
            let gradients = NamedGradients::from([("weight".to_owned(), gradient.clone())]);
            layer = optimizer.update(layer.clone(), gradients, 0.0);
            drop(layer.weight.val().inner().narrow(0, 0, 1).into_data());
        });
        secs / (SIDE * SIDE) as f64 * self.trainee.weights.trained as f64
    }

    /// One more token for each of `rows` answers that have `context` tokens behind them, and its choice.
    #[must_use]
    pub fn token(&self, rows: usize, context: usize, sampling: &SamplingOptions) -> f64 {
        let text = &self.trainee.config.text;
        let device = self.device.clone().inner();
        let block = self.prepare(DecoderBlock::new(text, &self.device), false).valid();
        let capacity = context + 2 * (ROUNDS + 1);
        let shape =
            CacheShape { layers: 1, kv_heads: text.num_key_value_heads, head_dim: text.head_dim(), capacity };
        let mut cache = Cache::new(shape, vec![0; rows], self.dtype, &device);
        // Zeros cost what other numbers cost.
        cache.advance(context);
        let input = self.random([rows, 1, text.hidden_size]).inner();
        let block_secs = fastest(|| {
            let place = vec![cache.len() as i32];
            let row = Positions { axes: [place.clone(), place.clone(), place], next: cache.len() as i32 + 1 };
            let context = Context {
                rotary: rotary(text, &vec![row; rows], &device),
                mask: mask::causal(1, cache.len() + 1, cache.starts(), &device),
            };
            drop(block.forward(input.clone(), &context, Some((&mut cache, 0))).into_data());
            cache.advance(1);
        });
        let scores: Vec<f32> = (0..text.vocab_size).map(|id| (id as f32 * 0.37).sin()).collect();
        let mut sampler = Sampler::new(1, 0, &[], text.vocab_size);
        let choice_secs = fastest(|| {
            let mut scores = scores.clone();
            sampler.choose(&mut scores, sampling);
        });
        let rows = rows as f64 * choice_secs;
        text.num_hidden_layers as f64 * block_secs + self.head(input.dims()[0], Ways::Forwards) + rows
    }

    fn random<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        Tensor::<D>::random(shape, Distribution::Normal(0.0, 1.0), &self.device).cast(self.dtype)
    }

    fn decoder_block(&self, load: &Load, ways: Ways) -> f64 {
        let (text, Load { batch, seq, .. }) = (&self.trainee.config.text, load);
        let mut block = self.prepare(DecoderBlock::new(text, &self.device), self.is_frozen_language());
        if let Some(quantizer) = self.trainee.training.adapter.quantizer() {
            let (attention, mlp) = (&mut block.self_attn, &mut block.mlp);
            for layer in [
                &mut attention.q_proj,
                &mut attention.k_proj,
                &mut attention.v_proj,
                &mut attention.o_proj,
                &mut mlp.gate_proj,
                &mut mlp.up_proj,
                &mut mlp.down_proj,
            ] {
                quantizer.pack(layer);
            }
        }
        let axis: Vec<i32> = (0..*seq as i32).collect();
        let row = Positions { axes: [axis.clone(), axis.clone(), axis], next: *seq as i32 };
        let context = Context {
            rotary: rotary(text, &vec![row; *batch], &self.device),
            mask: mask::causal(*seq, *seq, &vec![0; *batch], &self.device),
        };
        let input = self.random([*batch, *seq, text.hidden_size]);
        self.time(&block, input, ways, |block, states| block.forward(states, &context, None))
    }

    fn vision_block(&self, load: &Load, whole: bool, ways: Ways) -> f64 {
        let vision = &self.trainee.config.vision;
        let frozen = self.trainee.training.frozen;
        let is_lora = self.trainee.training.adapter.is_lora();
        let block = VisionBlock::new(self.trainee.config.architecture, vision, &self.device);
        let block = self.prepare(block, is_lora || frozen.vision_tower);
        let layout = Layout::new(vision, &load.grids, &self.device);
        let segments = if whole { &layout.images } else { &layout.windows };
        let input = self.random([load.patches, vision.hidden_size]);
        // Below the merger nothing is trained then.
        let ways = if frozen.vision_tower { Ways::Forwards } else { ways };
        self.time(&block, input, ways, |block, states| block.forward(states, &layout, segments))
    }

    fn head(&self, labels: usize, ways: Ways) -> f64 {
        let text = &self.trainee.config.text;
        let vocab = text.vocab_size.min(MAX_VOCAB);
        let rows = labels.clamp(1, crate::sft::MAX_SCORES / vocab);
        let head = LinearConfig { input: text.hidden_size, output: vocab, bias: false, std: 0.02 };
        let head = self.prepare(head.init(&self.device), self.is_frozen_language());
        let secs = self.time(&head, self.random([rows, text.hidden_size]), ways, |head, states| {
            softmax(head.forward(states), 1)
        });
        secs * (text.vocab_size as f64 / vocab as f64) * (labels as f64 / rows as f64)
    }

    fn is_frozen_language(&self) -> bool {
        let training = self.trainee.training;
        training.frozen.language_model || training.adapter.is_lora()
    }

    fn prepare<M: Module>(&self, module: M, frozen: bool) -> M {
        let module = if frozen { module.no_grad() } else { module };
        if self.dtype == DType::F32 { module } else { crate::checkpoint::cast(module, self.dtype) }
    }

    fn time<M: Module, const IN: usize, const OUT: usize>(
        &self,
        module: &M,
        input: Tensor<IN>,
        ways: Ways,
        forward: impl Fn(&M, Tensor<IN>) -> Tensor<OUT>,
    ) -> f64 {
        let plain = module.valid();
        fastest(|| {
            if ways == Ways::Forwards {
                drop(forward(&plain, input.clone().inner()).into_data());
                return;
            }
            if self.trainee.training.keep == Keep::BlockInputs {
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
