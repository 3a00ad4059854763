//! RMSNorm and LayerNorm, computed in f32 whatever the weights' precision.
//!
//! RMSNorm: Zhang & Sennrich 2019, <https://arxiv.org/abs/1910.07467>, in the order of operations of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py#L131-L148>.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor, assert_shape};

/// `x / sqrt(mean(x²) + ε) · w` over the last axis.
#[derive(Module, Debug)]
pub struct RmsNorm {
    /// `[hidden]`
    pub weight: Param<Tensor<1>>,
    epsilon: f64,
}

impl RmsNorm {
    /// Weights of one.
    #[must_use]
    pub fn new(hidden: usize, epsilon: f64, device: &Device) -> Self {
        Self { weight: Initializer::Ones.init([hidden], device), epsilon }
    }

    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let [hidden] = weight.dims();
        assert_shape!(input, [.., hidden]);
        #[cfg(feature = "kernels")]
        if let Some(normed) = crate::kernels::rms_norm(&input, &weight, self.epsilon) {
            return normed;
        }
        #[cfg(feature = "passes")]
        if crate::passes::apply_to(&input) && crate::passes::apply_to(&weight) {
            return crate::passes::rms_norm(input, weight, self.epsilon);
        }
        let dtype = input.dtype();
        let input = input.cast(DType::F32);
        let scale = (input.clone().square().mean_dim(D - 1) + self.epsilon).sqrt().recip();
        (input * scale).cast(dtype) * weight.unsqueeze()
    }

    /// The sum of two inputs, and its norm.
    ///
    /// # Shapes
    /// - inputs and outputs: `[..., hidden]`
    #[must_use]
    pub fn forward_sum<const D: usize>(
        &self,
        input: Tensor<D>,
        residual: Tensor<D>,
    ) -> (Tensor<D>, Tensor<D>) {
        #[cfg(feature = "kernels")]
        if let Some(both) = crate::kernels::add_rms_norm(&input, &residual, &self.weight.val(), self.epsilon)
        {
            return both;
        }
        let sum = input + residual;
        (sum.clone(), self.forward(sum))
    }
}

/// `(x − mean) / sqrt(var + ε) · w + b` over the last axis.
#[derive(Module, Debug)]
pub struct LayerNorm {
    /// `[hidden]`
    pub weight: Param<Tensor<1>>,
    /// `[hidden]`
    pub bias: Param<Tensor<1>>,
    epsilon: f64,
}

impl LayerNorm {
    /// Weights of one, biases of zero.
    #[must_use]
    pub fn new(hidden: usize, epsilon: f64, device: &Device) -> Self {
        Self {
            weight: Initializer::Ones.init([hidden], device),
            bias: Initializer::Zeros.init([hidden], device),
            epsilon,
        }
    }

    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let weight = self.weight.val();
        let [hidden] = weight.dims();
        assert_shape!(input, [.., hidden]);
        let dtype = input.dtype();
        let input = input.cast(DType::F32);
        let centred = input.clone() - input.mean_dim(D - 1);
        let scale = (centred.clone().square().mean_dim(D - 1) + self.epsilon).sqrt().recip();
        (centred * scale).cast(dtype) * weight.unsqueeze() + self.bias.val().unsqueeze()
    }
}

/// The norm of a vision block: RMSNorm in Qwen2.5-VL, LayerNorm in Qwen2-VL.
#[derive(Module, Debug)]
pub enum Norm {
    /// Qwen2.5-VL.
    Rms(RmsNorm),
    /// Qwen2-VL.
    Layer(LayerNorm),
}

impl Norm {
    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        match self {
            Self::Rms(norm) => norm.forward(input),
            Self::Layer(norm) => norm.forward(input),
        }
    }
}
