//! A low-rank change beside a frozen matrix, trained in its place.
//!
//! LoRA: <https://arxiv.org/abs/2106.09685>, rsLoRA: <https://arxiv.org/abs/2312.03732>, DoRA:
//! <https://arxiv.org/abs/2402.09353>, with the arithmetic of
//! <https://github.com/huggingface/peft/blob/v0.18.0/src/peft/tuners/lora/dora.py>. The product
//! `B A`, as large as the matrix itself, is formed by [`LowRank::merge`] alone.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor, TensorData, assert_shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `s · B A`, added to a frozen matrix; with DoRA the rows of the sum are then given lengths that
/// are trained as well.
#[derive(Module, Debug)]
pub struct LowRank {
    /// `[rank, in]`
    pub lora_a: Param<Tensor<2>>,
    /// `[out, rank]`
    pub lora_b: Param<Tensor<2>>,
    /// Lengths of the rows, with DoRA.
    pub magnitude: Option<Magnitude>,
    scale: f64,
    #[module(skip)]
    dropout: Option<Dropout>,
}

/// The trained length of every row of a changed matrix.
#[derive(Module, Debug)]
pub struct Magnitude {
    /// `[out]`
    pub weight: Param<Tensor<1>>,
    /// Squared lengths of the frozen matrix's own rows: `[out]`
    row_squares: Tensor<1>,
}

impl Magnitude {
    /// Lengths for the rows of a matrix whose own rows have these squared lengths.
    ///
    /// # Shapes
    /// - `weight`, `row_squares`: `[out]`
    #[must_use]
    pub fn new(weight: Tensor<1>, row_squares: Tensor<1>) -> Self {
        let [output] = row_squares.dims();
        assert_shape!(weight, [output]);
        Self { weight: Param::from_tensor(weight), row_squares: row_squares.inner() }
    }
}

/// Sets a share of a layer's inputs to zero, the same ones for the same seed and stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Share of the inputs that are set to zero, from 0 to below 1.
    pub share: f64,
    /// Chooses them.
    pub seed: u64,
    /// Tells layers apart that share a seed.
    pub stream: u64,
}

impl Dropout {
    /// What is left is made larger, so that the mean stays.
    ///
    /// # Shapes
    /// - input and output: `[rows, in]`
    fn apply(&self, input: Tensor<2>) -> Tensor<2> {
        let [rows, width] = input.dims();
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(self.stream);
        let threshold = (self.share * 2_f64.powi(32)) as u64;
        let kept = (1.0 / (1.0 - self.share)) as f32;
        let values: Vec<f32> = (0..rows * width)
            .map(|_| if u64::from(random.next_u32()) < threshold { 0.0 } else { kept })
            .collect();
        let (device, dtype) = (input.device(), input.dtype());
        input * Tensor::from_data(TensorData::new(values, [rows, width]), (&device, dtype))
    }
}

impl LowRank {
    /// A change of the given factors; `scale` is alpha over the rank, or over its root in rsLoRA.
    ///
    /// # Shapes
    /// - `lora_a`: `[rank, in]`
    /// - `lora_b`: `[out, rank]`
    #[must_use]
    pub fn new(lora_a: Tensor<2>, lora_b: Tensor<2>, scale: f64, magnitude: Option<Magnitude>) -> Self {
        let [rank, _] = lora_a.dims();
        assert_shape!(lora_b, [.., rank]);
        Self {
            lora_a: Param::from_tensor(lora_a),
            lora_b: Param::from_tensor(lora_b),
            magnitude,
            scale,
            dropout: None,
        }
    }

    /// The same change, with another dropout for the next pass.
    #[must_use]
    pub fn with_dropout(self, dropout: Option<Dropout>) -> Self {
        Self { dropout, ..self }
    }

    /// The changed product; `product` multiplies with the frozen matrix.
    ///
    /// # Shapes
    /// - input: `[rows, in]`
    /// - output: `[rows, out]`
    pub(super) fn forward(&self, input: Tensor<2>, product: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let dropped = self.dropout.map(|dropout| dropout.apply(input.clone()));
        let seen = dropped.clone().unwrap_or_else(|| input.clone());
        let dtype = input.dtype();
        let change = seen
            .cast(self.lora_a.val().dtype())
            .matmul(self.lora_a.val().transpose())
            .matmul(self.lora_b.val().transpose())
            * self.scale;
        let frozen = product(input);
        let Some(magnitude) = &self.magnitude else { return frozen + change.cast(dtype) };
        let lengths = self.row_lengths(magnitude, &product);
        let factor: Tensor<2> = (magnitude.weight.val() / lengths).unsqueeze();
        // PEFT lets the dropped inputs take part in the frozen product, too.
        let seen = dropped.map_or_else(|| frozen.clone(), &product).cast(DType::F32);
        let change = (factor.clone() - 1.0) * seen + factor * change;
        frozen + change.cast(dtype)
    }

    /// Lengths of the rows of `W + s · B A`, of which no gradient is taken, without forming it:
    /// `|w|² + 2 s b · (A w) + s² b · (A Aᵀ) b`.
    fn row_lengths(&self, magnitude: &Magnitude, product: &impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<1> {
        let (a, b) = (self.lora_a.val().detach(), self.lora_b.val().detach());
        let crossed = product(a.clone()).cast(DType::F32).detach().transpose();
        let gram = a.clone().matmul(a.transpose());
        let mixed = crossed * (2.0 * self.scale) + b.clone().matmul(gram) * self.scale.powi(2);
        let squares = magnitude.row_squares.clone() + (b * mixed).sum_dim(1).squeeze_dim(1);
        squares.clamp_min(0.0).sqrt()
    }

    /// The changed matrix itself, in the precision of the frozen one.
    ///
    /// # Shapes
    /// - `weight` and output: `[out, in]`
    #[must_use]
    pub fn merge(&self, weight: Tensor<2>) -> Tensor<2> {
        let dtype = weight.dtype();
        let change = self.lora_b.val().matmul(self.lora_a.val()).cast(DType::F32) * self.scale;
        let changed = weight.cast(DType::F32) + change;
        let changed = match &self.magnitude {
            Some(magnitude) => {
                let lengths = row_squares(changed.clone()).sqrt();
                changed * (magnitude.weight.val() / lengths).unsqueeze_dim(1)
            }
            None => changed,
        };
        changed.cast(dtype)
    }
}

/// Squared lengths of a matrix's rows, in f32.
///
/// # Shapes
/// - input: `[out, in]`
/// - output: `[out]`
#[must_use]
pub fn row_squares(weight: Tensor<2>) -> Tensor<1> {
    weight.cast(DType::F32).square().sum_dim(1).squeeze_dim(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LinearConfig;
    use burn::tensor::{Device, Distribution};

    fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
    }

    fn largest(difference: Tensor<2>) -> f32 {
        difference.abs().max().into_scalar::<f32>()
    }

    #[test]
    fn a_merged_layer_computes_what_the_changed_one_does() {
        let device = Device::flex();
        for decomposed in [false, true] {
            let mut layer = LinearConfig { input: 6, output: 5, bias: true, std: 1.0 }.init(&device);
            let magnitude = decomposed.then(|| Magnitude::new(random([5], &device), layer.row_squares()));
            let change = LowRank::new(random([2, 6], &device), random([5, 2], &device), 0.7, magnitude);
            let input = random([4, 6], &device);
            let frozen = layer.forward(input.clone());
            layer.adapter = Some(change);
            let changed = layer.forward(input.clone());
            let merged = layer.merge().forward(input);
            assert!(largest(changed.clone() - frozen) > 0.1, "decomposed: {decomposed}");
            assert!(largest(changed - merged) < 1e-4, "decomposed: {decomposed}");
        }
    }

    #[test]
    fn dropout_keeps_the_mean_and_depends_on_seed_and_stream_alone() {
        let device = Device::flex();
        let dropout = Dropout { share: 0.25, seed: 3, stream: 7 };
        let apply = |dropout: Dropout| {
            let data = dropout.apply(Tensor::ones([100, 100], &device)).into_data();
            data.as_slice::<f32>().expect("numbers").to_vec()
        };
        let values = apply(dropout);
        assert!(values.iter().all(|value| *value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        let mean = values.iter().sum::<f32>() / 1e4;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert_eq!(values, apply(dropout));
        assert_ne!(values, apply(Dropout { stream: 8, ..dropout }));
        assert_ne!(values, apply(Dropout { seed: 4, ..dropout }));
    }

    #[test]
    fn gradients_reach_the_factors_and_the_input_but_not_the_frozen_matrix() {
        let device = Device::flex().autodiff();
        let mut layer = LinearConfig { input: 6, output: 5, bias: false, std: 1.0 }.init(&device).no_grad();
        let magnitude = Magnitude::new(random([5], &device), layer.row_squares());
        layer.adapter =
            Some(LowRank::new(random([2, 6], &device), random([5, 2], &device), 0.5, Some(magnitude)));
        let input = random([4, 6], &device).require_grad();
        let gradients = layer.forward(input.clone()).square().sum().backward();
        let adapter = layer.adapter.as_ref().expect("just given");
        assert!(input.grad(&gradients).is_some());
        assert!(adapter.lora_a.val().grad(&gradients).is_some());
        assert!(adapter.lora_b.val().grad(&gradients).is_some());
        let magnitude = adapter.magnitude.as_ref().expect("just given");
        assert!(magnitude.weight.val().grad(&gradients).is_some());
        assert!(layer.weight.val().grad(&gradients).is_none());
    }
}
