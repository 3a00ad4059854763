//! A linear map through which gradients flow without anything being kept for the way back.
//!
//! burn's own product keeps its right side until the backward pass has used it, which would be every
//! weight of a model as f32. The form of an operation of one's own:
//! <https://github.com/tracel-ai/burn/blob/v0.22.1/examples/custom-cubecl-kernel/src/backward.rs>.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::{
    BalancedCheckpointing, CheckpointStrategy, NoCheckpointing,
};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::{Autodiff, Backend, DispatchKindConversion, DispatchTensor};
use burn::tensor::Tensor;
use std::fmt::Debug;
use std::sync::Arc;

/// A linear map and the one that carries gradients back.
pub trait LinearMap: Debug + Send + Sync {
    /// # Shapes
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    fn forward(&self, input: Tensor<2>) -> Tensor<2>;

    /// # Shapes
    /// - input: `[rows, out]`
    /// - output: `[rows, in]`
    fn adjoint(&self, gradient: Tensor<2>) -> Tensor<2>;
}

/// The map's output on a recording backend, whichever way that keeps activations; `None` where the
/// input lies on another backend.
#[must_use]
pub fn record<B: Backend>(input: Tensor<2>, map: &Arc<dyn LinearMap>) -> Option<Tensor<2>>
where
    DispatchTensor: DispatchKindConversion<B>
        + DispatchKindConversion<Autodiff<B>>
        + DispatchKindConversion<Autodiff<B, BalancedCheckpointing>>,
{
    record_with::<B, NoCheckpointing>(input.clone(), map)
        .or_else(|| record_with::<B, BalancedCheckpointing>(input, map))
}

fn record_with<B: Backend, C: CheckpointStrategy>(
    input: Tensor<2>,
    map: &Arc<dyn LinearMap>,
) -> Option<Tensor<2>>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B, C>>,
{
    let (primitive, node) = input.try_into_primitive::<Autodiff<B, C>>().ok()?.into_parts();
    let output = on_backend::<B>(primitive, |input| map.forward(input));
    let output = match Applied.prepare::<C>([node]).compute_bound().stateful() {
        OpsKind::Tracked(operation) => operation.finish(map.clone(), output),
        OpsKind::UnTracked(operation) => operation.finish(output),
    };
    Some(Tensor::from_primitive::<Autodiff<B, C>>(output))
}

#[derive(Debug)]
struct Applied;

impl<B: Backend> Backward<B, 1> for Applied
where
    DispatchTensor: DispatchKindConversion<B>,
{
    type State = Arc<dyn LinearMap>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let map = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |gradient| {
            on_backend::<B>(gradient, |gradient| map.adjoint(gradient))
        });
    }
}

fn on_backend<B: Backend>(
    primitive: B::FloatTensorPrimitive,
    work: impl FnOnce(Tensor<2>) -> Tensor<2>,
) -> B::FloatTensorPrimitive
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let output = work(Tensor::from_primitive::<B>(primitive));
    output.try_into_primitive::<B>().expect("a map stays on the backend of its input")
}
