//! SwiGLU feed-forward layer: Shazeer 2020, <https://arxiv.org/abs/2002.05202>.

#[cfg(feature = "kernels")]
use crate::kernels;
use crate::model::{Linear, LinearConfig};
#[cfg(feature = "passes")]
use crate::passes;
use burn::module::Module;
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};

/// `down(silu(gate(x)) · up(x))`.
#[derive(Module, Debug)]
pub struct Mlp {
    /// `[intermediate, hidden]`
    pub gate_proj: Linear,
    /// `[intermediate, hidden]`
    pub up_proj: Linear,
    /// `[hidden, intermediate]`
    pub down_proj: Linear,
}

impl Mlp {
    /// Fresh weights; `bias` is for the vision tower, whose layers have one.
    #[must_use]
    pub fn new(hidden: usize, intermediate: usize, bias: bool, std: f64, device: &Device) -> Self {
        let up = LinearConfig { input: hidden, output: intermediate, bias, std };
        let down = LinearConfig { input: intermediate, output: hidden, bias, std };
        Self { gate_proj: up.init(device), up_proj: up.init(device), down_proj: down.init(device) }
    }

    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        self.down_proj.forward(self.open(input))
    }

    /// The layer's output, added to what it is a residual of.
    ///
    /// # Shapes
    /// - input, states and output: `[..., hidden]`
    #[must_use]
    pub fn forward_add<const D: usize>(&self, input: Tensor<D>, states: Tensor<D>) -> Tensor<D> {
        self.down_proj.forward_add(self.open(input), states)
    }

    fn open<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "kernels")]
        if let Some(opened) = self.open_rows(&input) {
            return opened;
        }
        let (gate, up) = (self.gate_proj.forward(input.clone()), self.up_proj.forward(input));
        #[cfg(feature = "passes")]
        if passes::apply_to(&gate) && passes::apply_to(&up) {
            return passes::swiglu(gate, up);
        }
        silu(gate) * up
    }

    #[cfg(feature = "kernels")]
    fn open_rows<const D: usize>(&self, input: &Tensor<D>) -> Option<Tensor<D>> {
        let [gate, up] = [self.gate_proj.plain()?, self.up_proj.plain()?];
        if gate.bias.is_some() || up.bias.is_some() {
            return None;
        }
        kernels::gemv_swiglu(input, &gate.weight, &up.weight)
    }
}
