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

    fn adam_direction(&self, memory: &mut Memory, gradient: Tensor<1>) -> Tensor<1> {
        let AdamWConfig { beta_1, beta_2, epsilon, .. } = self.config;
        let first = match memory.first.take() {
            Some(first) => first * beta_1 + gradient.clone() * (1.0 - beta_1),
            None => gradient.clone() * (1.0 - beta_1),
        };
        let square = gradient.square() * (1.0 - beta_2);
        let second = match memory.second.take() {
            Some(second) => second * beta_2 + square,
            None => square,
        };
        let corrected = second.clone() / (1.0 - beta_2.powi(self.step));
        let direction = first.clone() / (1.0 - beta_1.powi(self.step)) / (corrected.sqrt() + epsilon);
        (memory.first, memory.second) = (Some(first), Some(second));
        direction
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
        let by_adam = |gradient| self.optimizer.adam_direction(&mut memory, gradient);
        let Some(direction) = orthogonal.or_else(|| gradient.map(by_adam)) else { return param };
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
        let decay = if D > 1 { 1.0 - rate * weight_decay } else { 1.0 };
        let weight = weight * decay - direction * rate;
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
