//! RMSNorm: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>.

use super::memory::{changed, dot, numbers};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, assert_shape};

/// `x / sqrt(mean(x²) + ε) · w` over the last axis, of tensors to which passes [apply](super::apply_to).
///
/// # Shapes
/// - input and output: `[..., hidden]`
/// - weight: `[hidden]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn rms_norm<const D: usize>(input: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let [hidden] = weight.dims();
    assert_shape!(input, [.., hidden]);
    let (input, weight) = (input.into_dispatch(), weight.into_dispatch());
    Tensor::from_dispatch(Dispatch::scaled_by_root(input, weight, epsilon as f32))
}

/// The operation as burn routes it to its backends.
#[backend_extension(Flex, Autodiff: cfg(feature = "training"))]
pub trait RootOps: Backend {
    /// See [`rms_norm`].
    fn scaled_by_root(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f32)
    -> FloatTensor<Self>;
}

impl RootOps for Flex {
    fn scaled_by_root(input: FlexTensor, weight: FlexTensor, epsilon: f32) -> FlexTensor {
        let hidden = weight.shape().num_elements();
        let weight = weight.to_contiguous();
        let weight = numbers(&weight);
        let (output, _) = changed(
            input,
            hidden,
            #[inline(always)]
            |_, input| {
                for row in input.chunks_exact_mut(hidden) {
                    let scale = scale(row, epsilon);
                    for (number, weight) in row.iter_mut().zip(weight) {
                        *number *= scale * weight;
                    }
                }
            },
        );
        output
    }
}

/// `1 / sqrt(mean(x²) + ε)`
#[inline(always)]
fn scale(row: &[f32], epsilon: f32) -> f32 {
    1.0 / (dot(row, row) / row.len() as f32 + epsilon).sqrt()
}

#[cfg(feature = "training")]
mod recorded {
    use super::super::memory::tensor;
    use super::{RootOps, changed, dot, numbers, scale};
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Flex, TensorMetadata};

    impl<C: CheckpointStrategy> RootOps for Autodiff<Flex, C> {
        fn scaled_by_root(
            input: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            epsilon: f32,
        ) -> FloatTensor<Self> {
            let ((input, input_node), (weight, weight_node)) = (input.into_parts(), weight.into_parts());
            match Scaled.prepare::<C>([input_node, weight_node]).compute_bound().stateful() {
                OpsKind::Tracked(operation) => {
                    let output = Flex::scaled_by_root(input.clone(), weight.clone(), epsilon);
                    operation.finish((input, weight, epsilon), output)
                }
                OpsKind::UnTracked(operation) => {
                    operation.finish(Flex::scaled_by_root(input, weight, epsilon))
                }
            }
        }
    }

    #[derive(Debug)]
    struct Scaled;

    impl Backward<Flex, 2> for Scaled {
        /// Input, weight, ε.
        type State = (FlexTensor, FlexTensor, f32);

        fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            let [input, weight] = ops.parents;
            let (by_input, by_weight) = adjoint(ops.state, gradient, weight.is_some());
            for (parent, gradient) in [(input, Some(by_input)), (weight, by_weight)] {
                if let (Some(parent), Some(gradient)) = (parent, gradient) {
                    gradients.register::<Flex>(parent.id, gradient);
                }
            }
        }
    }

    /// With `r` the row's scale: `∂/∂x = r (w ∂ − x r² mean(w ∂ x))`, and `∂/∂w = Σ ∂ x r` over the rows, if wanted.
    ///
    /// # Shapes
    /// - input, gradient and `∂/∂x`: `[..., hidden]`
    /// - weight and `∂/∂w`: `[hidden]`
    fn adjoint(
        (input, weight, epsilon): (FlexTensor, FlexTensor, f32),
        gradient: FlexTensor,
        wants_weight: bool,
    ) -> (FlexTensor, Option<FlexTensor>) {
        let shape = weight.shape();
        let hidden = shape.num_elements();
        let [input, weight] = [input, weight].map(|tensor| tensor.to_contiguous());
        let [input, weight] = [&input, &weight].map(numbers);
        let (by_input, parts) = changed(
            gradient,
            hidden,
            #[inline(always)]
            |first, gradient| {
                let mut part = vec![0.0f32; if wants_weight { hidden } else { 0 }];
                let input = input[first * hidden..].chunks_exact(hidden);
                for (gradient, input) in gradient.chunks_exact_mut(hidden).zip(input) {
                    let scale = scale(input, epsilon);
                    for ((sum, gradient), input) in part.iter_mut().zip(&*gradient).zip(input) {
                        *sum += gradient * input * scale;
                    }
                    for (gradient, weight) in gradient.iter_mut().zip(weight) {
                        *gradient *= weight;
                    }
                    let mean = dot(gradient, input) / hidden as f32 * scale * scale;
                    for (gradient, input) in gradient.iter_mut().zip(input) {
                        *gradient = scale * (*gradient - input * mean);
                    }
                }
                part
            },
        );
        let by_weight = wants_weight.then(|| {
            let mut by_weight = vec![0.0; hidden];
            for part in parts {
                by_weight.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            tensor(by_weight, shape)
        });
        (by_input, by_weight)
    }
}
