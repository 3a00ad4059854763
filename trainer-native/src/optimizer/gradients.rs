//! Gradients by the names of their weights: collected, added up, clipped together.

use crate::device::sum_of_squares;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Gradients, Tensor};
use fine_r1_core::weights::stored_name;
use std::collections::BTreeMap;

/// Gradients by stored name, flattened to one axis, in f32 whatever the weights' precision.
pub type NamedGradients = BTreeMap<String, Tensor<1>>;

/// Collects the gradients of a backward pass.
#[must_use]
pub fn collect<M: Module>(model: &M, gradients: &mut Gradients) -> NamedGradients {
    struct Collect<'pass> {
        path: WeightPath,
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
                self.found.insert(self.path.stored(), gradient.reshape([count]).cast(DType::F32));
            }
        }
    }
    let mut collect = Collect { path: WeightPath::default(), gradients, found: BTreeMap::new() };
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

/// Scales gradients so that their joint norm is at most `max_norm`, and returns the norm before; a
/// `max_norm` of 0 leaves them as they are.
pub fn clip(gradients: &mut NamedGradients, max_norm: f64) -> f32 {
    let Some(squares) = gradients.values().map(sum_of_squares).reduce(|sum, square| sum + square) else {
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
pub struct WeightPath(Vec<String>);

impl WeightPath {
    /// Goes down; `container` is what burn calls the module that holds it.
    pub fn enter(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.push(name.to_owned());
        }
    }

    /// Goes up.
    pub fn exit(&mut self, container: &str) {
        if !container.starts_with("Enum:") {
            self.0.pop();
        }
    }

    /// The name under which the weight here is stored.
    #[must_use]
    pub fn stored(&self) -> String {
        stored_name(&self.0.join("."))
    }
}
