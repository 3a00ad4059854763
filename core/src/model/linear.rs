//! Matrix products whose weights lie as checkpoints store them: `[out, in]`.
//!
//! burn's own `Linear` holds `[in, out]`; keeping the stored order avoids a transposition of every
//! weight at load and at save, and is the faster order for the one-row products of decoding.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor};

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
}

/// Sizes of a [`Linear`].
#[derive(Debug, Clone, Copy)]
pub struct LinearConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the output.
    pub output: usize,
    /// Whether a bias is added.
    pub bias: bool,
    /// Standard deviation of fresh weights; biases start at zero.
    pub std: f64,
}

impl LinearConfig {
    /// Fresh weights, drawn when first used.
    #[must_use]
    pub fn init(&self, device: &Device) -> Linear {
        let initializer = Initializer::Normal { mean: 0.0, std: self.std };
        Linear {
            weight: initializer.init([self.output, self.input], device),
            bias: self.bias.then(|| Initializer::Zeros.init([self.output], device)),
        }
    }
}

impl Linear {
    /// Applies the product to the last axis.
    ///
    /// # Shapes
    /// - input: `[..., in]`
    /// - output: `[..., out]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        linear(input, self.weight.val().transpose(), self.bias.as_ref().map(Param::val))
    }
}
