//! A softmax of scores with what is added to them first: attention's masks.

use super::exp::exp_below_zero;
use super::memory::{changed, largest, numbers, sum};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, assert_shape};

/// `softmax(scores + bias)` over the last axis, of tensors to which passes [apply](super::apply_to). Gradients flow to
/// the scores alone.
///
/// # Shapes
/// - scores and output: `[batch, heads, rows, keys]`
/// - bias: `[batch or 1, 1, bias_rows, keys]`, repeated within the scores' rows
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn biased_softmax(scores: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let [batch, _, rows, keys] = scores.dims();
    let scores = scores.into_dispatch();
    let Some(bias) = bias else {
        return Tensor::from_dispatch(Dispatch::softmax_of(scores));
    };
    let [bias_batch, _, bias_rows, _] = bias.dims();
    assert_shape!(bias, [bias_batch, 1, bias_rows, keys]);
    #[cfg(feature = "training")]
    assert!(!bias.is_tracked(), "a bias without gradient");
    assert!([1, batch].contains(&bias_batch) && rows.is_multiple_of(bias_rows), "a bias for every row");
    Tensor::from_dispatch(Dispatch::softmax_of_sum(scores, bias.into_dispatch()))
}

/// The operations as burn routes them to its backends.
#[backend_extension(Flex, Autodiff: cfg(feature = "training"))]
pub trait SoftmaxOps: Backend {
    /// See [`biased_softmax`].
    fn softmax_of(scores: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`biased_softmax`].
    fn softmax_of_sum(scores: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl SoftmaxOps for Flex {
    fn softmax_of(scores: FlexTensor) -> FlexTensor {
        let [.., keys] = scores.shape().dims::<4>();
        let (output, _) = changed(
            scores,
            keys,
            #[inline(always)]
            |_, scores| {
                scores.chunks_exact_mut(keys).for_each(normalise);
            },
        );
        output
    }

    fn softmax_of_sum(scores: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let [_, heads, rows, keys] = scores.shape().dims::<4>();
        let [bias_batch, _, bias_rows, _] = bias.shape().dims::<4>();
        let bias = bias.to_contiguous();
        let bias = numbers(&bias);
        let (output, _) = changed(
            scores,
            keys,
            #[inline(always)]
            |first, scores| {
                for (row, scores) in (first..).zip(scores.chunks_exact_mut(keys)) {
                    let batch = row / (heads * rows) % bias_batch;
                    let place = (batch * bias_rows + row % rows % bias_rows) * keys;
                    for (score, bias) in scores.iter_mut().zip(&bias[place..place + keys]) {
                        *score += bias;
                    }
                    normalise(scores);
                }
            },
        );
        output
    }
}

#[inline(always)]
fn normalise(row: &mut [f32]) {
    let top = largest(row);
    for score in &mut *row {
        *score = exp_below_zero(*score - top);
    }
    let share = 1.0 / sum(row);
    for score in row {
        *score *= share;
    }
}

#[cfg(feature = "training")]
mod recorded {
    use super::super::memory::dot;
    use super::{SoftmaxOps, changed, numbers};
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Flex, TensorMetadata};

    impl<C: CheckpointStrategy> SoftmaxOps for Autodiff<Flex, C> {
        fn softmax_of(scores: FloatTensor<Self>) -> FloatTensor<Self> {
            record::<C>(scores, Flex::softmax_of)
        }

        fn softmax_of_sum(scores: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
            let (bias, _) = bias.into_parts();
            record::<C>(scores, |scores| Flex::softmax_of_sum(scores, bias))
        }
    }

    fn record<C: CheckpointStrategy>(
        scores: FloatTensor<Autodiff<Flex, C>>,
        softmax: impl FnOnce(FlexTensor) -> FlexTensor,
    ) -> FloatTensor<Autodiff<Flex, C>> {
        let (scores, node) = scores.into_parts();
        let output = softmax(scores);
        match Normalised.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(operation) => operation.finish(output.clone(), output),
            OpsKind::UnTracked(operation) => operation.finish(output),
        }
    }

    #[derive(Debug)]
    struct Normalised;

    impl Backward<Flex, 1> for Normalised {
        /// The output.
        type State = FlexTensor;

        fn backward(self, ops: Ops<FlexTensor, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| adjoint(&ops.state, gradient));
        }
    }

    /// `p · (∂ − Σ p ∂)`
    ///
    /// # Shapes
    /// - all: `[batch, heads, rows, keys]`
    fn adjoint(output: &FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let [.., keys] = output.shape().dims::<4>();
        let output = numbers(output);
        let (gradient, _) = changed(
            gradient,
            keys,
            #[inline(always)]
            |first, gradient| {
                let output = output[first * keys..].chunks_exact(keys);
                for (gradient, output) in gradient.chunks_exact_mut(keys).zip(output) {
                    let mean = dot(gradient, output);
                    for (gradient, output) in gradient.iter_mut().zip(output) {
                        *gradient = output * (*gradient - mean);
                    }
                }
            },
        );
        gradient
    }
}
