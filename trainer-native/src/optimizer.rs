//! AdamW with a clipped global norm: <https://arxiv.org/abs/1711.05101>, and Muon for matrices:
//! <https://kellerjordan.github.io/posts/muon/>, scaled to AdamW's step as in
//! <https://arxiv.org/abs/2502.16982>.
//!
//! burn 0.22's optimizer clips every tensor by itself and names its state by identifiers that do not
//! survive a restart; this one clips over all of them and names its state as the checkpoint names
//! the weights. Matrices decay, vectors (norms and biases) do not.

use anyhow::{Context, Result, bail};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use fine_r1_core::weights::stored_name;
use rayon::prelude::*;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Gradients by stored name, flattened to one axis.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Which rule moves the matrices; vectors and embeddings always follow AdamW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatrixRule {
    /// AdamW.
    #[default]
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
}

/// The optimizer and its state.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    step: i32,
    moments: BTreeMap<String, Moments>,
}

#[derive(Debug, Clone)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

impl AdamW {
    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, step: 0, moments: BTreeMap::new() }
    }

    /// Moves every parameter that has a gradient.
    #[must_use]
    pub fn update<M: Module>(&mut self, model: M, gradients: NamedGradients, learning_rate: f64) -> M {
        self.step += 1;
        let mut gradients = gradients;
        let directions = match self.config.matrices {
            MatrixRule::Adamw => NamedGradients::new(),
            MatrixRule::Muon => self.orthogonal_directions(&mut gradients, &matrix_shapes(&model)),
        };
        let learning_rate = learning_rate as f32;
        let mut update =
            Update { path: Path::default(), optimizer: self, gradients, directions, learning_rate };
        model.map(&mut update)
    }

    /// Takes the matrices' gradients and gives their directions, computed side by side.
    fn orthogonal_directions(
        &mut self,
        gradients: &mut NamedGradients,
        shapes: &BTreeMap<String, [usize; 2]>,
    ) -> NamedGradients {
        let work: Vec<_> = shapes
            .iter()
            .filter_map(|(name, shape)| {
                let gradient = gradients.remove(name)?;
                Some((name.clone(), *shape, gradient, self.moments.remove(name)))
            })
            .collect();
        let done: Vec<_> = work
            .into_par_iter()
            .map(|(name, shape, gradient, moments)| {
                let (direction, moments) = orthogonal_direction(gradient, moments, shape);
                (name, direction, moments)
            })
            .collect();
        let mut directions = NamedGradients::new();
        for (name, direction, moments) in done {
            self.moments.insert(name.clone(), moments);
            directions.insert(name, direction);
        }
        directions
    }

    fn adam_direction(&mut self, name: String, gradient: Tensor<1>) -> Tensor<1> {
        let AdamWConfig { beta_1, beta_2, epsilon, .. } = self.config;
        let moments = self
            .moments
            .remove(&name)
            .unwrap_or_else(|| Moments { first: gradient.zeros_like(), second: gradient.zeros_like() });
        let first = moments.first * beta_1 + gradient.clone() * (1.0 - beta_1);
        let second = moments.second * beta_2 + gradient.square() * (1.0 - beta_2);
        let corrected = second.clone() / (1.0 - beta_2.powi(self.step));
        let direction = first.clone() / (1.0 - beta_1.powi(self.step)) / (corrected.sqrt() + epsilon);
        self.moments.insert(name, Moments { first, second });
        direction
    }

    /// The state as a safetensors file.
    ///
    /// # Errors
    /// The state cannot be read from the device.
    pub fn save(&self) -> Result<Vec<u8>> {
        let mut encoded = Vec::new();
        for (name, moments) in &self.moments {
            for (kind, tensor) in [("first", &moments.first), ("second", &moments.second)] {
                let data = tensor.clone().try_into_data().map_err(|error| anyhow::anyhow!("{error:?}"))?;
                encoded.push((format!("{kind}.{name}"), data.as_bytes().to_vec()));
            }
        }
        let views = encoded
            .iter()
            .map(|(name, bytes)| {
                Ok((name.as_str(), TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let metadata = [("step".to_owned(), self.step.to_string())].into();
        Ok(safetensors::serialize(views, Some(metadata))?)
    }

    /// Reads the state back.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn load(config: AdamWConfig, bytes: &[u8], device: &Device) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).context("damaged optimizer state")?;
        let step = header
            .metadata()
            .as_ref()
            .and_then(|fields| fields.get("step"))
            .and_then(|step| step.parse().ok());
        let Some(step) = step else { bail!("the optimizer state does not say how many steps it has seen") };
        let file = SafeTensors::deserialize(bytes).context("damaged optimizer state")?;
        let mut moments = BTreeMap::new();
        let read = |name: &str| -> Result<Tensor<1>> {
            let view = file.tensor(name)?;
            let values: Vec<f32> = view
                .data()
                .chunks_exact(4)
                .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
                .collect();
            let count = values.len();
            Ok(Tensor::from_data(TensorData::new(values, [count]), device))
        };
        for name in file.names() {
            if let Some(parameter) = name.strip_prefix("first.") {
                let pair = Moments { first: read(name)?, second: read(&format!("second.{parameter}"))? };
                moments.insert(parameter.to_owned(), pair);
            }
        }
        Ok(Self { config, step, moments })
    }
}

/// Share of Muon's momentum that a step keeps.
const MUON_MOMENTUM: f32 = 0.95;

/// Nesterov momentum, its singular values brought near one, as long as AdamW's steps are.
fn orthogonal_direction(
    gradient: Tensor<1>,
    moments: Option<Moments>,
    shape: [usize; 2],
) -> (Tensor<1>, Moments) {
    let momentum = match moments {
        Some(moments) => moments.first * MUON_MOMENTUM + gradient.clone(),
        None => gradient.clone(),
    };
    let ahead = gradient + momentum.clone() * MUON_MOMENTUM;
    let second = Tensor::zeros([1], &momentum.device());
    let scale = 0.2 * (shape[0].max(shape[1]) as f32).sqrt();
    let direction = (orthogonalize(ahead.reshape(shape)) * scale).reshape([shape[0] * shape[1]]);
    (direction, Moments { first: momentum, second })
}

/// Names and shapes of the matrices that Muon moves.
fn matrix_shapes<M: Module>(model: &M) -> BTreeMap<String, [usize; 2]> {
    #[derive(Default)]
    struct Shapes {
        path: Path,
        found: BTreeMap<String, [usize; 2]>,
    }
    impl ModuleVisitor for Shapes {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            self.path.exit(container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let name = self.path.stored();
            if D == 2 && !name.starts_with("model.embed_tokens.") && !name.starts_with("lm_head.") {
                let shape = param.lazy_shape();
                self.found.insert(name, [shape[0], shape[1]]);
            }
        }
    }
    let mut shapes = Shapes::default();
    model.visit(&mut shapes);
    shapes.found
}

/// Five steps of the quintic Newton-Schulz iteration: singular values go to about one.
fn orthogonalize(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let is_tall = rows > columns;
    let mut x = if is_tall { matrix.transpose() } else { matrix };
    let norm = x.clone().square().sum().sqrt() + 1e-7;
    x = x / norm.unsqueeze();
    for _ in 0..5 {
        let square = x.clone().matmul(x.clone().transpose());
        let mix = square.clone() * -4.775 + square.clone().matmul(square) * 2.0315;
        x = x.clone() * 3.4445 + mix.matmul(x);
    }
    if is_tall { x.transpose() } else { x }
}

/// Collects the gradients of a backward pass.
#[must_use]
pub fn collect<M: Module>(model: &M, gradients: &mut Gradients) -> NamedGradients {
    struct Collect<'pass> {
        path: Path,
        gradients: &'pass mut Gradients,
        found: NamedGradients,
    }
    impl ModuleVisitor for Collect<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            self.path.exit(container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad_remove(self.gradients) {
                let count = gradient.shape().num_elements();
                self.found.insert(self.path.stored(), gradient.reshape([count]));
            }
        }
    }
    let mut collect = Collect { path: Path::default(), gradients, found: BTreeMap::new() };
    model.visit(&mut collect);
    collect.found
}

/// Adds the gradients of another part of the batch.
pub fn accumulate(sum: &mut NamedGradients, other: NamedGradients) {
    for (name, gradient) in other {
        let gradient = match sum.remove(&name) {
            Some(present) => present + gradient,
            None => gradient,
        };
        sum.insert(name, gradient);
    }
}

/// Scales gradients so that their joint norm is at most `max_norm`, and returns the norm before.
pub fn clip(gradients: &mut NamedGradients, max_norm: f64) -> f32 {
    let Some(squares) =
        gradients.values().map(|gradient| gradient.clone().square().sum()).reduce(|sum, square| sum + square)
    else {
        return 0.0;
    };
    let norm = squares.sqrt().into_scalar::<f32>();
    // torch's clip_grad_norm_ adds the same small number.
    let scale = max_norm as f32 / (norm + 1e-6);
    if max_norm > 0.0 && scale < 1.0 {
        for gradient in gradients.values_mut() {
            gradient.inplace(|gradient| gradient * scale);
        }
    }
    norm
}

/// Where a walk over a module stands.
#[derive(Debug, Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_owned());
        }
    }

    fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    fn stored(&self) -> String {
        stored_name(&self.0.join("."))
    }
}

struct Update<'step> {
    path: Path,
    optimizer: &'step mut AdamW,
    gradients: NamedGradients,
    /// Of the matrices that Muon moves.
    directions: NamedGradients,
    learning_rate: f32,
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
        let direction = match (self.directions.remove(&name), self.gradients.remove(&name)) {
            (Some(direction), _) => direction,
            (None, Some(gradient)) => self.optimizer.adam_direction(name, gradient),
            (None, None) => return param,
        };
        let weight_decay = self.optimizer.config.weight_decay;

        let (id, tensor, mapper) = param.consume();
        let tracked = tensor.is_require_grad();
        let tensor = tensor.inner();
        let shape = tensor.dims();
        let decay = if D > 1 { 1.0 - self.learning_rate * weight_decay } else { 1.0 };
        let tensor = tensor * decay - direction.reshape(shape) * self.learning_rate;
        let tensor = Tensor::from_inner(tensor);
        Param::from_mapped_value(id, if tracked { tensor.require_grad() } else { tensor }, mapper)
    }
}
