//! The gate of a feed-forward layer, `silu(g) · u`: Shazeer 2020, <https://arxiv.org/abs/2002.05202>.

use super::exp::sigmoid;
use super::memory::{changed, numbers};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;

/// `silu(gate) · up` of tensors to which passes [apply](super::apply_to).
///
/// # Shapes
/// - gate, up and output: the same
///
/// # Panics
/// The shapes differ.
#[must_use]
pub fn swiglu<const D: usize>(gate: Tensor<D>, up: Tensor<D>) -> Tensor<D> {
    assert_eq!(gate.dims(), up.dims(), "a gate for every number");
    Tensor::from_dispatch(Dispatch::gated(gate.into_dispatch(), up.into_dispatch()))
}

/// The operation as burn routes it to its backends.
#[backend_extension(Flex, Autodiff: cfg(feature = "training"))]
pub trait GateOps: Backend {
    /// See [`swiglu`].
    fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl GateOps for Flex {
    fn gated(gate: FlexTensor, up: FlexTensor) -> FlexTensor {
        let up = up.to_contiguous();
        let up = numbers(&up);
        let (output, _) = changed(
            gate,
            1,
            #[inline(always)]
            |first, gate| {
                for (gate, up) in gate.iter_mut().zip(&up[first..]) {
                    *gate *= sigmoid(*gate) * up;
                }
            },
        );
        output
    }
}

#[cfg(feature = "training")]
mod recorded {
    use super::super::memory::{in_pieces, owned};
    use super::{GateOps, numbers, sigmoid};
    use burn::backend::autodiff::checkpoint::base::Checkpointer;
    use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::flex::FlexTensor;
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Autodiff, Flex};

    impl<C: CheckpointStrategy> GateOps for Autodiff<Flex, C> {
        fn gated(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
            let ((gate, gate_node), (up, up_node)) = (gate.into_parts(), up.into_parts());
            match Gated.prepare::<C>([gate_node, up_node]).compute_bound().stateful() {
                OpsKind::Tracked(operation) => {
                    let output = Flex::gated(gate.clone(), up.clone());
                    operation.finish((gate, up), output)
                }
                OpsKind::UnTracked(operation) => operation.finish(Flex::gated(gate, up)),
            }
        }
    }

    #[derive(Debug)]
    struct Gated;

    impl Backward<Flex, 2> for Gated {
        type State = (FlexTensor, FlexTensor);

        fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
            let gradient = gradients.consume::<Flex>(&ops.node);
            let (by_gate, by_up) = adjoint(ops.state, gradient);
            for (parent, gradient) in ops.parents.into_iter().zip([by_gate, by_up]) {
                if let Some(parent) = parent {
                    gradients.register::<Flex>(parent.id, gradient);
                }
            }
        }
    }

    /// `∂/∂g = u · s (1 + g (1 − s))` with `s` the sigmoid of `g`, and `∂/∂u = g · s`.
    ///
    /// # Shapes
    /// - all: the same
    fn adjoint((gate, up): (FlexTensor, FlexTensor), gradient: FlexTensor) -> (FlexTensor, FlexTensor) {
        let gradient = gradient.to_contiguous();
        let gradient = numbers(&gradient);
        let (mut gate, mut up) = (owned(gate), owned(up));
        in_pieces(
            [gate.storage_mut(), up.storage_mut()],
            1,
            #[inline(always)]
            |first, [gate, up]| {
                for ((gate, up), gradient) in gate.iter_mut().zip(up).zip(&gradient[first..]) {
                    let share = sigmoid(*gate);
                    let output = *gate * share;
                    *gate = gradient * *up * (share + output * (1.0 - share));
                    *up = gradient * output;
                }
            },
        );
        (gate, up)
    }
}
