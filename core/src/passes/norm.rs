//! RMSNorm: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>.

use super::memory::{changed, dot, in_pieces, numbers};
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
        changed(input, |input| {
            in_pieces([input], hidden, |_, [input]| {
                for row in input.chunks_exact_mut(hidden) {
                    let scale = scale(row, epsilon);
                    for (number, weight) in row.iter_mut().zip(weight) {
                        *number *= scale * weight;
                    }
                }
            });
        })
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
    use super::{RootOps, changed, dot, in_pieces, numbers, scale};
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
            let (by_input, by_weight) = adjoint(ops.state, gradient);
            for (parent, gradient) in ops.parents.into_iter().zip([by_input, by_weight]) {
                if let Some(parent) = parent {
                    gradients.register::<Flex>(parent.id, gradient);
                }
            }
        }
    }

    /// With `r` the row's scale: `∂/∂x = r (w ∂ − x r² mean(w ∂ x))`, and `∂/∂w = Σ ∂ x r` over the rows.
    fn adjoint(
        (input, weight, epsilon): (FlexTensor, FlexTensor, f32),
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor) {
        let shape = weight.shape();
        let hidden = shape.num_elements();
        let [input, weight] = [input, weight].map(|tensor| tensor.to_contiguous());
        let [input, weight] = [&input, &weight].map(numbers);
        let mut by_weight = vec![0.0; hidden];
        let by_input = changed(gradient, |gradient| {
            let parts = in_pieces([gradient], hidden, |first, [gradient]| {
                let mut part = vec![0.0f32; hidden];
                let input = input[first * hidden..].chunks_exact(hidden);
                for (gradient, input) in gradient.chunks_exact_mut(hidden).zip(input) {
                    let scale = scale(input, epsilon);
                    for index in 0..hidden {
                        part[index] += gradient[index] * input[index] * scale;
                        gradient[index] *= weight[index];
                    }
                    let mean = dot(gradient, input) / hidden as f32 * scale * scale;
                    for (gradient, input) in gradient.iter_mut().zip(input) {
                        *gradient = scale * (*gradient - input * mean);
                    }
                }
                part
            });
            for part in parts {
                by_weight.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
        });
        (by_input, tensor(by_weight, shape))
    }
}
