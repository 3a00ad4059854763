//! Muon: momentum whose singular values are brought near one, for matrices.
//!
//! <https://kellerjordan.github.io/posts/muon/>, scaled to AdamW's step as in
//! <https://arxiv.org/abs/2502.16982>.

use super::{Memory, NamedGradients, WeightPath};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Share of the momentum that a step keeps.
const MOMENTUM: f32 = 0.95;
/// Beginnings of names of weights that are tables with a row for every token or class.
const NO_MATRICES: [&str; 3] = ["model.embed_tokens.", "lm_head.", "classifier."];

/// Takes the matrices' gradients and gives their directions, computed side by side.
pub fn directions(
    memories: &mut BTreeMap<String, Memory>,
    gradients: &mut NamedGradients,
    shapes: &BTreeMap<String, [usize; 2]>,
) -> NamedGradients {
    let work: Vec<_> = shapes
        .iter()
        .filter_map(|(name, shape)| {
            let gradient = gradients.remove(name)?;
            let momentum = memories.get_mut(name).and_then(|memory| memory.first.take());
            Some((name.clone(), *shape, gradient, momentum))
        })
        .collect();
    let done: Vec<_> = work
        .into_par_iter()
        .map(|(name, shape, gradient, momentum)| (name, direction(gradient, momentum, shape)))
        .collect();
    let mut directions = NamedGradients::new();
    for (name, (direction, momentum)) in done {
        memories.entry(name.clone()).or_default().first = Some(momentum);
        directions.insert(name, direction);
    }
    directions
}

/// Nesterov momentum, its singular values brought near one, as long as AdamW's steps are.
fn direction(gradient: Tensor<1>, momentum: Option<Tensor<1>>, shape: [usize; 2]) -> (Tensor<1>, Tensor<1>) {
    let momentum = match momentum {
        Some(momentum) => momentum * MOMENTUM + gradient.clone(),
        None => gradient.clone(),
    };
    let ahead = gradient + momentum.clone() * MOMENTUM;
    let scale = 0.2 * (shape[0].max(shape[1]) as f32).sqrt();
    let direction = (orthogonalize(ahead.reshape(shape)) * scale).reshape([shape[0] * shape[1]]);
    (direction, momentum)
}

/// Names and shapes of the matrices that Muon moves: all but embedding and heads. A kernel is a matrix with a
/// row for every output channel.
pub fn matrix_shapes<M: Module>(model: &M) -> BTreeMap<String, [usize; 2]> {
    #[derive(Default)]
    struct Shapes {
        path: WeightPath,
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
            if D > 1 && !NO_MATRICES.iter().any(|part| name.starts_with(part)) {
                let shape = param.lazy_shape();
                self.found.insert(name, [shape[0], shape[1..].iter().product()]);
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
