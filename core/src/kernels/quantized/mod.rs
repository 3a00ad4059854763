//! Weights in blocks of 32 numbers with one scale each, 8 or 4 bits a number, and their product with few rows.
//!
//! The blocks are those of GGML's Q8_0 and Q4_0 (<https://github.com/ggml-org/ggml/blob/v0.9.4/src/ggml-quants.c>) in
//! form: a symmetric scale and no zero point. Codes are held with an offset, so that none has a sign: shifts of signed
//! numbers differ among languages for GPUs. A product reads a quarter or an eighth of what f32 takes, and turns codes
//! into numbers on the way.

mod codes;
mod product;

pub use codes::{BLOCK, Bits, Codes, quantize};
pub use product::QuantizedGemvOps;

use super::gemv::MAX_ROWS;
use super::launch::is_on_gpu;
use crate::model::PackedWeight;
use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor, TensorData, assert_shape};

/// A frozen weight in blocks.
#[derive(Debug)]
pub struct BlockQuantized {
    /// Codes, several a word: `[out, in / codes a word]`, i32.
    codes: Tensor<2, Int>,
    /// `[out, in / 32]`, f32
    scales: Tensor<2>,
    bits: Bits,
    dims: [usize; 2],
}

impl BlockQuantized {
    /// Quantises a weight, `[out, in]` row by row.
    ///
    /// # Panics
    /// The width is no multiple of a block's 32, or the numbers are not as many as the sizes say.
    #[must_use]
    pub fn new(weight: &[f32], dims: [usize; 2], bits: Bits, device: &Device) -> Self {
        let [output, width] = dims;
        assert_eq!(weight.len(), output * width, "numbers of a weight of {output} x {width}");
        assert!(width.is_multiple_of(BLOCK), "a width of {width} is no multiple of {BLOCK}");
        let Codes { words, scales } = quantize(weight, bits);
        let words = TensorData::new(words, [output, width / bits.codes_per_word()]);
        let scales = TensorData::new(scales, [output, width / BLOCK]);
        Self {
            codes: Tensor::from_data(words, device),
            scales: Tensor::from_data(scales, device),
            bits,
            dims,
        }
    }

    /// The weight's numbers, f32.
    ///
    /// # Shapes
    /// - output: `[out, in]`
    #[must_use]
    pub fn numbers(&self) -> Tensor<2> {
        let [output, width] = self.dims;
        let codes: Vec<Tensor<3, Int>> = (0..self.bits.codes_per_word())
            .map(|place| {
                let shifted =
                    self.codes.clone().bitwise_right_shift_scalar((place * self.bits.width()) as i32);
                shifted.bitwise_and_scalar(self.bits.mask()).unsqueeze_dim(2)
            })
            .collect();
        let numbers = Tensor::cat(codes, 2).float() - f64::from(self.bits.offset());
        let scales: Tensor<3> = self.scales.clone().unsqueeze_dim(2);
        (numbers.reshape([output, width / BLOCK, BLOCK]) * scales).reshape([output, width])
    }
}

impl PackedWeight for BlockQuantized {
    fn dims(&self) -> [usize; 2] {
        self.dims
    }

    fn product(&self, input: Tensor<2>) -> Tensor<2> {
        let [rows, width] = input.dims();
        assert_shape!(input, [rows, width]);
        if is_on_gpu(&input) && rows <= MAX_ROWS {
            return Tensor::from_dispatch(Dispatch::fused_quantized_gemv(
                input.into_dispatch(),
                self.codes.clone().into_dispatch(),
                self.scales.clone().into_dispatch(),
                self.bits.width(),
            ));
        }
        let dtype = input.dtype();
        let numbers = self.numbers().cast(dtype);
        let numbers = if input.is_autodiff() { Tensor::from_inner(numbers) } else { numbers };
        input.matmul(numbers.transpose())
    }

    fn row_squares(&self) -> Tensor<1> {
        crate::model::row_squares(self.numbers())
    }
}
