//! AdamW with a clipped global norm: <https://arxiv.org/abs/1711.05101>, or Muon for matrices; with
//! learning rates by part, f32 masters of weights in lower precision, and an average of the weights.
//!
//! burn 0.22's optimizer clips every tensor by itself and names its state by identifiers that do not
//! survive a restart; this one clips over all of them and names its state as the checkpoint names
//! the weights. Matrices decay, vectors (norms and biases) do not.

mod gradients;
mod muon;
mod rates;
mod state;

pub use gradients::{NamedGradients, WeightPath, accumulate, clip, collect};
pub use rates::{Part, Rates};

use crate::device;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which rule moves the matrices; vectors and embeddings always follow AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixRule {
    /// AdamW.
    #[default]
    #[serde(alias = "adamw_torch", alias = "adamw_torch_fused")]
    Adamw,
    /// Momentum, made orthogonal.
    Muon,
}

/// Constants of the optimizer.
#[derive(Debug, Clone, Copy)]
pub struct AdamWConfig {
    /// What moves the matrices.
    pub matrices: MatrixRule,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
    /// Share of a matrix that a step at learning rate 1 takes away.
    pub weight_decay: f32,
    /// Share of the average of the weights that a step keeps; 0 keeps no average.
    pub average_decay: f32,
}

/// The optimizer and its state.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    step: i32,
    memories: BTreeMap<String, Memory>,
}

/// What is remembered of one weight, flattened, in f32.
#[derive(Debug, Clone, Default)]
struct Memory {
    /// First moment, or Muon's momentum.
    first: Option<Tensor<1>>,
    /// Second moment.
    second: Option<Tensor<1>>,
    /// The weight itself, where the model holds it in a lower precision.
    master: Option<Tensor<1>>,
    /// The weight's average over the steps.
    average: Option<Tensor<1>>,
}

impl AdamW {
    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, step: 0, memories: BTreeMap::new() }
    }

    /// Moves every parameter that has a gradient; a single number is the learning rate of all.
    #[must_use]
    pub fn update<M: Module>(&mut self, model: M, gradients: NamedGradients, rates: impl Into<Rates>) -> M {
        self.step += 1;
        let rates = rates.into();
        let mut gradients = gradients;
        let directions = match self.config.matrices {
            MatrixRule::Adamw => NamedGradients::new(),
            MatrixRule::Muon => {
                muon::directions(&mut self.memories, &mut gradients, &muon::matrix_shapes(&model))
            }
        };
        let mut update =
            Update { path: WeightPath::default(), optimizer: self, gradients, directions, rates };
        model.map(&mut update)
    }

    /// A model with the average of its weights in place of those that the last step left; the model
    /// itself where no average is kept.
    #[must_use]
    pub fn averaged<M: Module>(&self, model: M) -> M {
        model.map(&mut Average { path: WeightPath::default(), memories: &self.memories })
    }

    /// The weight a step further.
    fn adam(&self, memory: &mut Memory, [weight, gradient]: [Tensor<1>; 2], pace: Pace) -> Tensor<1> {
        let AdamWConfig { beta_1, beta_2, epsilon, .. } = self.config;
        let [grown_1, grown_2] = [beta_1, beta_2].map(|beta| 1.0 - beta.powi(self.step));
        let moment = |kept: Option<Tensor<1>>| kept.unwrap_or_else(|| gradient.zeros_like());
        let [first, second] = [memory.first.take(), memory.second.take()].map(moment);
        let all = [weight, first, second, gradient];
        let moved = device::edit(
            all,
            #[inline(always)]
            |[weight, first, second, gradient]| {
                for (((weight, first), second), gradient) in
                    weight.iter_mut().zip(first).zip(second).zip(gradient)
                {
                    *first = *first * beta_1 + *gradient * (1.0 - beta_1);
                    *second = *second * beta_2 + *gradient * *gradient * (1.0 - beta_2);
                    let direction = *first / grown_1 / ((*second / grown_2).sqrt() + epsilon);
                    *weight = *weight * pace.decay - direction * pace.rate;
                }
            },
        );
        let [weight, first, second] = match moved {
            Ok([weight, first, second, _]) => [weight, first, second],
            Err([weight, first, second, gradient]) => {
                let first = first * beta_1 + gradient.clone() * (1.0 - beta_1);
                let second = second * beta_2 + gradient.square() * (1.0 - beta_2);
                let root = (second.clone() / grown_2).sqrt() + epsilon;
                [pace.moved(weight, first.clone() / grown_1 / root), first, second]
            }
        };
        (memory.first, memory.second) = (Some(first), Some(second));
        weight
    }
}

/// How far a weight goes in a step.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Learning rate.
    rate: f32,
    /// Share of the weight that stays.
    decay: f32,
}

impl Pace {
    fn moved(self, weight: Tensor<1>, direction: Tensor<1>) -> Tensor<1> {
        weight * self.decay - direction * self.rate
    }
}

struct Update<'step> {
    path: WeightPath,
    optimizer: &'step mut AdamW,
    gradients: NamedGradients,
    /// Of the matrices that Muon moves.
    directions: NamedGradients,
    rates: Rates,
}

impl ModuleMapper for Update<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.stored();
        let (orthogonal, gradient) = (self.directions.remove(&name), self.gradients.remove(&name));
        if orthogonal.is_none() && gradient.is_none() {
            return param;
        }
        let mut memory = self.optimizer.memories.remove(&name).unwrap_or_default();
        let AdamWConfig { weight_decay, average_decay, .. } = self.optimizer.config;
        let rate = self.rates.of(&name) as f32;

        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let tensor = tensor.inner();
        let (shape, dtype) = (tensor.dims(), tensor.dtype());
        let weight = match memory.master.take() {
            Some(master) => master,
            None => tensor.reshape([shape.iter().product::<usize>()]).cast(DType::F32),
        };
        if average_decay > 0.0 && memory.average.is_none() {
            memory.average = Some(weight.clone());
        }
        let pace = Pace { rate, decay: if D > 1 { 1.0 - rate * weight_decay } else { 1.0 } };
        let weight = match (orthogonal, gradient) {
            (Some(direction), _) => pace.moved(weight, direction),
            (None, Some(gradient)) => self.optimizer.adam(&mut memory, [weight, gradient], pace),
            (None, None) => weight,
        };
        memory.average = memory
            .average
            .take()
            .map(|average| average * average_decay + weight.clone() * (1.0 - average_decay));
        let tensor = weight.clone().cast(dtype).reshape(shape);
        if dtype != DType::F32 {
            memory.master = Some(weight);
        }
        self.optimizer.memories.insert(name, memory);
        let tensor = Tensor::from_inner(tensor);
        Param::from_mapped_value(id, if tracked { tensor.require_grad() } else { tensor }, mapper)
    }
}

struct Average<'state> {
    path: WeightPath,
    memories: &'state BTreeMap<String, Memory>,
}

impl ModuleMapper for Average<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let average = self.memories.get(&self.path.stored()).and_then(|memory| memory.average.clone());
        let Some(average) = average else { return param };
        param.map(|tensor| {
            let (shape, dtype) = (tensor.dims(), tensor.dtype());
            average.reshape(shape).cast(dtype)
        })
    }
}

#[cfg(test)]
mod tests;
