//! Matrix products whose weights lie as checkpoints store them: `[out, in]`.
//!
//! burn's own `Linear` holds `[in, out]`; keeping the stored order avoids a transposition of every
//! weight at load and at save, and is the faster order for the one-row products of decoding.

use burn::module::{Module, Param};
use burn::nn::Initializer;
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
        let weight = self.weight.val();
        let [output, width] = weight.dims();
        let mut dims = input.dims();
        let rows = dims.iter().product::<usize>() / width;
        // burn's `linear` would copy a transposed weight at every call; a plain product reads it in place.
        let product = input.reshape([rows, width]).matmul(weight.transpose());
        let product = match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        };
        dims[D - 1] = output;
        product.reshape(dims)
    }
}
