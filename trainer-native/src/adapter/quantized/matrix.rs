//! A matrix in blocks of codes, and products with it.

use super::recorded::LinearMap;
use super::scales::Scales;
use super::{Quantizer, nf4};
use crate::device::apply;
use burn::tensor::{DType, Device, Tensor, TensorData};
use fine_r1_core::model::{PackedWeight, row_squares};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;

/// Numbers that share a scale, in the order of rows.
const BLOCK: usize = 64;

/// Numbers that stand in memory as f32 at a time.
const TILE: usize = 1 << 20;

/// Numbers that one thread turns into f32 at a time; whole blocks.
const SHARE: usize = 1 << 14;

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    /// 8 bits: 127ths of the block's largest number.
    Int8,
    /// 4 bits, two in a byte, the first in the upper half.
    Nf4,
}

impl CodeKind {
    fn codes_per_byte(self) -> usize {
        match self {
            Self::Int8 => 1,
            Self::Nf4 => 2,
        }
    }
}

/// A frozen matrix `[out, in]` in codes.
#[derive(Debug)]
pub struct QuantizedMatrix {
    dims: [usize; 2],
    kind: CodeKind,
    codes: Vec<u8>,
    scales: Scales,
    device: Device,
    dtype: DType,
}

impl QuantizedMatrix {
    /// Quantises `numbers`, which lie row by row. Products are computed on `device` in `dtype`.
    ///
    /// # Panics
    /// There are not as many numbers as `dims` say.
    #[must_use]
    pub fn new(
        numbers: &[f32],
        dims: [usize; 2],
        quantizer: Quantizer,
        device: Device,
        dtype: DType,
    ) -> Self {
        assert_eq!(numbers.len(), dims[0] * dims[1], "numbers of a matrix {dims:?}");
        let kind = quantizer.kind;
        let largest: Vec<f32> = numbers
            .par_chunks(BLOCK)
            .map(|block| block.iter().fold(0.0_f32, |largest, number| largest.max(number.abs())))
            .collect();
        let mut codes = vec![0; numbers.len().div_ceil(kind.codes_per_byte())];
        let blocks = codes.par_chunks_mut(BLOCK / kind.codes_per_byte());
        blocks.zip(numbers.par_chunks(BLOCK)).zip(&largest).for_each(|((codes, numbers), largest)| {
            let share = |number: &f32| if *largest > 0.0 { number / largest } else { 0.0 };
            match kind {
                CodeKind::Int8 => {
                    for (code, number) in codes.iter_mut().zip(numbers) {
                        *code = (share(number) * 127.0).round() as i8 as u8;
                    }
                }
                CodeKind::Nf4 => {
                    for (code, pair) in codes.iter_mut().zip(numbers.chunks(2)) {
                        let low = pair.get(1).map_or(0, |number| nf4::nearest(share(number)));
                        *code = nf4::nearest(share(&pair[0])) << 4 | low;
                    }
                }
            }
        });
        Self { dims, kind, codes, scales: Scales::new(largest, quantizer.double), device, dtype }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.codes.len() + self.scales.bytes()
    }

    /// Bytes that a matrix of this size will hold.
    #[must_use]
    pub fn bytes_of([output, input]: [usize; 2], quantizer: Quantizer) -> usize {
        let numbers = output * input;
        let codes = numbers.div_ceil(quantizer.kind.codes_per_byte());
        codes + Scales::bytes_of(numbers.div_ceil(BLOCK), quantizer.double)
    }

    /// The numbers that some of the codes stand for.
    #[must_use]
    pub fn numbers(&self, range: Range<usize>) -> Vec<f32> {
        let mut numbers = vec![0.0; range.len()];
        numbers.par_chunks_mut(SHARE).enumerate().for_each(|(share, numbers)| {
            self.write_numbers(range.start + share * SHARE, numbers);
        });
        numbers
    }

    fn write_numbers(&self, start: usize, numbers: &mut [f32]) {
        let mut done = 0;
        while done < numbers.len() {
            let first = start + done;
            let length = (BLOCK - first % BLOCK).min(numbers.len() - done);
            let scale = self.scales.of(first / BLOCK);
            let part = &mut numbers[done..done + length];
            match self.kind {
                CodeKind::Int8 => {
                    let scale = scale / 127.0;
                    for (number, code) in part.iter_mut().zip(&self.codes[first..]) {
                        *number = f32::from(*code as i8) * scale;
                    }
                }
                CodeKind::Nf4 => {
                    let table = nf4::TABLE.map(|share| share * scale);
                    for (offset, number) in part.iter_mut().enumerate() {
                        let at = first + offset;
                        let shift = if at.is_multiple_of(2) { 4 } else { 0 };
                        *number = table[usize::from(self.codes[at / 2] >> shift & 15)];
                    }
                }
            }
            done += length;
        }
    }

    /// Ranges of rows whose numbers stand in memory together.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let [output, input] = self.dims;
        let rows = (TILE / input).clamp(1, output);
        (0..output).step_by(rows).map(move |start| start..(start + rows).min(output))
    }

    /// `[rows, in]`
    fn tile(&self, rows: Range<usize>) -> Tensor<2> {
        let [_, input] = self.dims;
        let shape = [rows.len(), input];
        let numbers = self.numbers(rows.start * input..rows.end * input);
        Tensor::from_data(TensorData::new(numbers, shape), (&self.device, self.dtype))
    }
}

impl LinearMap for QuantizedMatrix {
    /// `x Wᵀ`: `[rows, in]` to `[rows, out]`
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let parts = self.tiles().map(|rows| input.clone().matmul(self.tile(rows).transpose()));
        let mut parts: Vec<Tensor<2>> = parts.collect();
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
    }

    /// `g W`: `[rows, out]` to `[rows, in]`
    fn adjoint(&self, gradient: Tensor<2>) -> Tensor<2> {
        let parts = self
            .tiles()
            .map(|rows| gradient.clone().narrow(1, rows.start, rows.len()).matmul(self.tile(rows)));
        parts.reduce(|sum, part| sum + part).expect("a matrix has rows")
    }
}

/// A [`QuantizedMatrix`] in the place of a layer's weight.
#[derive(Debug, Clone)]
pub struct Packed(Arc<dyn LinearMap>, Arc<QuantizedMatrix>);

impl Packed {
    /// A weight of its own.
    #[must_use]
    pub fn new(matrix: QuantizedMatrix) -> Self {
        let matrix = Arc::new(matrix);
        Self(matrix.clone(), matrix)
    }
}

impl PackedWeight for Packed {
    fn dims(&self) -> [usize; 2] {
        self.1.dims
    }

    fn product(&self, input: Tensor<2>) -> Tensor<2> {
        apply(input.cast(self.1.dtype), &self.0)
    }

    fn row_squares(&self) -> Tensor<1> {
        Tensor::cat(self.1.tiles().map(|rows| row_squares(self.1.tile(rows))).collect(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use burn::tensor::Distribution;
    use safetensors::SafeTensors;
    use std::fs;
    use std::path::Path;

    /// Scales and shares are multiplied in f32 on both sides.
    const NUMBERS: f32 = 1e-6;
    /// A scale's dynamic code is next to a boundary now and then, where sums in another order decide.
    const DOUBLE_NUMBERS: f32 = 1e-4;
    /// Sums of some dozens of products, tile by tile or at once.
    const PRODUCTS: f32 = 1e-4;

    struct Golden(Vec<u8>);

    impl Golden {
        fn read() -> Self {
            let path =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/cases/adapters.safetensors");
            Self(fs::read(path).expect("a golden file"))
        }

        fn bytes(&self, name: &str) -> Vec<u8> {
            SafeTensors::deserialize(&self.0).expect("sound").tensor(name).expect(name).data().to_vec()
        }

        fn floats(&self, name: &str) -> Vec<f32> {
            self.bytes(name).as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
        }
    }

    const DIMS: [usize; 2] = [96, 56];

    fn matrix(kind: CodeKind, double: bool) -> QuantizedMatrix {
        let device = device::storage().expect("a processor").device;
        let numbers = Golden::read().floats("nf4.weight");
        QuantizedMatrix::new(&numbers, DIMS, Quantizer { kind, double }, device, DType::F32)
    }

    fn assert_near(found: &[f32], expected: &[f32], limit: f32) {
        assert_eq!(found.len(), expected.len());
        let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("largest difference {largest:e}, limit {limit:e}");
        assert!(largest <= limit, "{largest:e}");
    }

    #[test]
    fn codes_and_numbers_are_those_of_bitsandbytes() {
        let golden = Golden::read();
        let count = DIMS[0] * DIMS[1];
        let matrix_4 = matrix(CodeKind::Nf4, false);
        assert_eq!(matrix_4.codes, golden.bytes("nf4.codes"));
        assert_eq!(matrix_4.scales, Scales::Plain(golden.floats("nf4.scales")));
        assert_near(&matrix_4.numbers(0..count), &golden.floats("nf4.numbers"), NUMBERS);
        let double = matrix(CodeKind::Nf4, true);
        assert_near(&double.numbers(0..count), &golden.floats("nf4.double_numbers"), DOUBLE_NUMBERS);
        let matrix_8 = matrix(CodeKind::Int8, false);
        assert_near(&matrix_8.numbers(0..count), &golden.floats("int8.numbers"), NUMBERS);
        // Bytes for 5376 numbers in 84 blocks: half a byte or one each, and four a scale, or one and
        // four for all of them with their mean.
        assert_eq!(
            [matrix_4.bytes(), double.bytes(), matrix_8.bytes()],
            [2688 + 336, 2688 + 84 + 4 + 4, 5376 + 336]
        );
        for (matrix, double) in [(&matrix_4, false), (&double, true), (&matrix_8, false)] {
            let quantizer = Quantizer { kind: matrix.kind, double };
            assert_eq!(QuantizedMatrix::bytes_of(DIMS, quantizer), matrix.bytes(), "{quantizer:?}");
        }
    }

    #[test]
    fn any_range_is_part_of_the_whole() {
        let matrix = matrix(CodeKind::Nf4, false);
        let whole = matrix.numbers(0..DIMS[0] * DIMS[1]);
        for range in [0..1, 1..2, 63..65, 57..171, 5000..5376] {
            assert_eq!(matrix.numbers(range.clone()), whole[range]);
        }
    }

    #[test]
    fn products_and_gradients_are_those_of_the_numbers() {
        let plain = device::storage().expect("a processor").device;
        let recording = plain.clone().autodiff();
        let recomputing = recording.clone().gradient_checkpointing();
        for (device, kind, output, input) in [
            (recording, CodeKind::Nf4, 96, 56),
            (recomputing.clone(), CodeKind::Nf4, 64, 40),
            (recomputing, CodeKind::Int8, 2050, 1030),
        ] {
            let quantizer = Quantizer { kind, double: false };
            let random = |shape| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &plain);
            let numbers = random([output, input]).into_data();
            let numbers = numbers.as_slice::<f32>().expect("numbers");
            let matrix = QuantizedMatrix::new(numbers, [output, input], quantizer, plain.clone(), DType::F32);
            let dense = TensorData::new(matrix.numbers(0..output * input), [output, input]);
            let dense = Tensor::<2>::from_data(dense, &device);
            assert_eq!(matrix.tiles().count() > 1, output > 1000, "a large matrix has several tiles");
            let packed = Packed::new(matrix);
            let values = random([3, input]);
            let weights = Tensor::from_data(random([3, output]).into_data(), &device);
            let run = |product: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let input = Tensor::from_data(values.clone().into_data(), &device).require_grad();
                let output = product(input.clone());
                let gradients = (output.clone() * weights.clone()).sum().backward();
                let gradient = input.grad(&gradients).expect("gradients reach the input");
                [output.inner(), gradient].map(|tensor| {
                    let data = tensor.into_data();
                    data.as_slice::<f32>().expect("numbers").to_vec()
                })
            };
            let found = run(&|input| packed.product(input));
            let expected = run(&|input| input.matmul(dense.clone().transpose()));
            for (found, expected) in found.iter().zip(&expected) {
                let scale = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
                assert_near(found, expected, PRODUCTS * scale);
            }
            let unrecorded = packed.product(values.clone()).into_data();
            assert_eq!(unrecorded.as_slice::<f32>().expect("numbers"), found[0]);
            let squares = packed.row_squares().into_data();
            let expected = row_squares(dense.inner()).into_data();
            let [squares, expected] =
                [&squares, &expected].map(|data| data.as_slice::<f32>().expect("numbers"));
            assert_near(squares, expected, 1e-3);
        }
    }
}
