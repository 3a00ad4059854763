//! Rotary position embedding in the half-split form: Su et al. 2021, <https://arxiv.org/abs/2104.09864>.

use super::memory::{in_pieces, numbers, tensor};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, assert_shape};

/// Turns the two halves of every head by the angles of its position; of tensors to which passes
/// [apply](super::apply_to). No gradients flow to the angles.
///
/// # Shapes
/// - input and output: `[batch, heads, seq, head_dim]`
/// - cos, sin: `[batch or 1, 1, seq, head_dim / 2]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn rotate(input: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    let [batch, _, seq, head_dim] = input.dims();
    let [angles, ..] = cos.dims();
    assert_shape!(cos, [angles, 1, seq, head_dim / 2]);
    assert_shape!(sin, [angles, 1, seq, head_dim / 2]);
    assert!([1, batch].contains(&angles) && head_dim.is_multiple_of(2), "angles for every pair");
    #[cfg(feature = "training")]
    assert!(!cos.is_tracked() && !sin.is_tracked(), "angles without gradient");
    let [cos, sin] = [cos, sin].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::turned(input.into_dispatch(), cos, sin))
}

/// The operation as burn routes it to its backends.
#[backend_extension(Flex, Autodiff: cfg(feature = "training"))]
pub trait TurnOps: Backend {
    /// See [`rotate`].
    fn turned(input: FloatTensor<Self>, cos: FloatTensor<Self>, sin: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl TurnOps for Flex {
    fn turned(input: FlexTensor, cos: FlexTensor, sin: FlexTensor) -> FlexTensor {
        turn(&input, &cos, &sin, 1.0)
    }
}

/// By the angles, or with a `direction` of −1 back.
///
/// # Shapes
/// As [`rotate`].
fn turn(input: &FlexTensor, cos: &FlexTensor, sin: &FlexTensor, direction: f32) -> FlexTensor {
    let shape = input.shape();
    let [_, heads, seq, head_dim] = shape.dims::<4>();
    let (half, angles) = (head_dim / 2, cos.shape().dims::<4>()[0]);
    let [cos, sin] = [cos, sin].map(FlexTensor::to_contiguous);
    let [cos, sin] = [&cos, &sin].map(numbers);
    let input = Heads::of(input);
    let mut output = vec![0.0f32; shape.num_elements()];
    in_pieces(
        [&mut output],
        head_dim,
        #[inline(always)]
        |first, [output]| {
            for (row, output) in (first..).zip(output.chunks_exact_mut(head_dim)) {
                let (batch, head, token) = (row / (heads * seq), row / seq % heads, row % seq);
                let (left, right) = input.head([batch, head, token], head_dim).split_at(half);
                let place = (batch % angles * seq + token) * half;
                let (cos, sin) = (&cos[place..place + half], &sin[place..place + half]);
                let (first, second) = output.split_at_mut(half);
                for index in 0..half {
                    let sin = sin[index] * direction;
                    first[index] = left[index] * cos[index] - right[index] * sin;
                    second[index] = right[index] * cos[index] + left[index] * sin;
                }
            }
        },
    );
    tensor(output, shape)
}

/// Heads as they lie in memory, each in one piece; heads and tokens may stand in any order.
struct Heads {
    tensor: FlexTensor,
    strides: [usize; 3],
}

impl Heads {
    fn of(input: &FlexTensor) -> Self {
        let strides = |tensor: &FlexTensor| match *tensor.layout().strides() {
            [batch, head, token, 1] => {
                let strides = [batch, head, token].map(usize::try_from);
                strides.iter().all(Result::is_ok).then(|| strides.map(Result::unwrap_or_default))
            }
            _ => None,
        };
        if let Some(strides) = strides(input) {
            return Self { tensor: input.clone(), strides };
        }
        let tensor = input.to_contiguous();
        let [_, heads, seq, head_dim] = input.shape().dims::<4>();
        Self { tensor, strides: [heads * seq * head_dim, seq * head_dim, head_dim] }
    }

    #[inline(always)]
    fn head(&self, place: [usize; 3], head_dim: usize) -> &[f32] {
        let before: usize = place.iter().zip(self.strides).map(|(at, stride)| at * stride).sum();
        &self.tensor.storage()[self.tensor.layout().start_offset() + before..][..head_dim]
    }
}

#[cfg(feature = "training")]
mod recorded {
    use super::{TurnOps, turn};
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Flex};

    impl<C: CheckpointStrategy> TurnOps for Autodiff<Flex, C> {
        fn turned(
            input: FloatTensor<Self>,
            cos: FloatTensor<Self>,
            sin: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            let ((input, node), (cos, _), (sin, _)) =
                (input.into_parts(), cos.into_parts(), sin.into_parts());
            let output = turn(&input, &cos, &sin, 1.0);
            match Turned.prepare::<C>([node]).compute_bound().stateful() {
                OpsKind::Tracked(operation) => operation.finish((cos, sin), output),
                OpsKind::UnTracked(operation) => operation.finish(output),
            }
        }
    }

    #[derive(Debug)]
    struct Turned;

    impl Backward<Flex, 1> for Turned {
        /// Cosines and sines.
        type State = (FlexTensor, FlexTensor);

        fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let (cos, sin) = ops.state;
            unary::<Flex, _>(ops.parents, ops.node, gradients, |gradient| turn(&gradient, &cos, &sin, -1.0));
        }
    }
}
