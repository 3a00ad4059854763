//! Matrix products whose weights lie as checkpoints store them: `[out, in]`.
//!
//! burn's own `Linear` holds `[in, out]`; keeping the stored order avoids a transposition of every
//! weight at load and at save, and is the faster order for the one-row products of decoding.

use super::{LowRank, row_squares};
#[cfg(feature = "kernels")]
use crate::kernels;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor};
use std::fmt::Debug;
use std::sync::Arc;

/// `y = x Wᵀ + b`.
#[derive(Module, Debug)]
pub struct Linear {
    /// `[out, in]`; `[0, 0]` where `packed` stands in.
    pub weight: Param<Tensor<2>>,
    /// `[out]`
    pub bias: Option<Param<Tensor<1>>>,
    /// A trained change of a frozen weight. Checkpoints are saved without it.
    pub adapter: Option<LowRank>,
    /// The weight in a smaller form.
    #[module(skip)]
    pub packed: Option<Arc<dyn PackedWeight>>,
}

/// A frozen matrix that is held in a smaller form than its numbers.
pub trait PackedWeight: Debug + Send + Sync {
    /// Width of output and input.
    fn dims(&self) -> [usize; 2];

    /// `x Wᵀ`; gradients flow to `x`.
    ///
    /// # Shapes
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    fn product(&self, input: Tensor<2>) -> Tensor<2>;

    /// Squared lengths of the rows.
    ///
    /// # Shapes
    /// - output: `[out]`
    fn row_squares(&self) -> Tensor<1>;
}

/// A layer without adapter, whose weight is not packed.
#[cfg(feature = "kernels")]
pub(crate) struct Plain {
    /// `[out, in]`
    pub weight: Tensor<2>,
    /// `[out]`
    pub bias: Option<Tensor<1>>,
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
            adapter: None,
            packed: None,
        }
    }
}

impl Linear {
    /// Width of output and input.
    #[must_use]
    pub fn dims(&self) -> [usize; 2] {
        match &self.packed {
            Some(packed) => packed.dims(),
            None => {
                let shape = self.weight.lazy_shape();
                [shape[0], shape[1]]
            }
        }
    }

    /// Applies the product to the last axis.
    ///
    /// # Shapes
    /// - input: `[..., in]`
    /// - output: `[..., out]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "kernels")]
        if let Some(Plain { weight, bias: None }) = self.plain()
            && let Some(product) = kernels::gemv(&input, &weight)
        {
            return product;
        }
        let [output, width] = self.dims();
        let mut dims = input.dims();
        let rows = dims.iter().product::<usize>() / width;
        let input = input.reshape([rows, width]);
        let product = match &self.adapter {
            Some(adapter) => adapter.forward(input, |input| self.product(input)),
            None => self.product(input),
        };
        let product = match &self.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        };
        dims[D - 1] = output;
        product.reshape(dims)
    }

    /// The product, added to what it is a residual of.
    ///
    /// # Shapes
    /// - input: `[..., in]`
    /// - states and output: `[..., out]`
    #[must_use]
    pub fn forward_add<const D: usize>(&self, input: Tensor<D>, states: Tensor<D>) -> Tensor<D> {
        #[cfg(feature = "kernels")]
        if let Some(Plain { weight, bias: None }) = self.plain()
            && let Some(sum) = kernels::gemv_add(&input, &weight, &states)
        {
            return sum;
        }
        states + self.forward(input)
    }

    /// Three layers of one input.
    ///
    /// # Shapes
    /// - input: `[..., in]`
    /// - outputs: `[..., out]`
    #[must_use]
    pub fn forward_three<const D: usize>(layers: [&Self; 3], input: Tensor<D>) -> [Tensor<D>; 3] {
        #[cfg(feature = "kernels")]
        if let Some(products) = Self::three_products(layers, &input) {
            return products;
        }
        layers.map(|layer| layer.forward(input.clone()))
    }

    #[cfg(feature = "kernels")]
    fn three_products<const D: usize>(layers: [&Self; 3], input: &Tensor<D>) -> Option<[Tensor<D>; 3]> {
        let plain = |layer: &Self| layer.plain().and_then(|plain| Some((plain.weight, plain.bias?)));
        let [first, second, third] = layers.map(plain);
        let [(first, first_bias), (second, second_bias), (third, third_bias)] = [first?, second?, third?];
        kernels::gemv_three(input, &[first, second, third], &[first_bias, second_bias, third_bias])
    }

    /// The layer's numbers, where it is nothing but them.
    #[cfg(feature = "kernels")]
    pub(crate) fn plain(&self) -> Option<Plain> {
        let is_plain = self.adapter.is_none() && self.packed.is_none();
        is_plain.then(|| Plain { weight: self.weight.val(), bias: self.bias.as_ref().map(Param::val) })
    }

    /// Without bias and adapter.
    ///
    /// # Shapes
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    fn product(&self, input: Tensor<2>) -> Tensor<2> {
        match &self.packed {
            Some(packed) => packed.product(input),
            None => product(input, self.weight.val()),
        }
    }

    /// Squared lengths of the weight's rows, in f32.
    ///
    /// # Shapes
    /// - output: `[out]`
    #[must_use]
    pub fn row_squares(&self) -> Tensor<1> {
        match &self.packed {
            Some(packed) => packed.row_squares(),
            None => row_squares(self.weight.val().inner()),
        }
    }

    /// The layer with its adapter, where there is one, worked into the weight.
    ///
    /// # Panics
    /// The weight is packed and has an adapter.
    #[must_use]
    pub fn merge(self) -> Self {
        let Some(adapter) = &self.adapter else { return self };
        assert!(self.packed.is_none(), "a packed weight cannot take in its adapter");
        let weight = Param::initialized(self.weight.id, adapter.merge(self.weight.val()));
        Self { weight, adapter: None, ..self }
    }
}

/// `x Wᵀ`. burn's `linear` would copy a transposed weight at every call; a plain product reads it in place.
///
/// # Shapes
/// - input: `[rows, in]`
/// - weight: `[out, in]`
/// - output: `[rows, out]`
pub(super) fn product(input: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    #[cfg(feature = "kernels")]
    if let Some(product) = kernels::gemv(&input, &weight) {
        return product;
    }
    input.matmul(weight.transpose())
}
