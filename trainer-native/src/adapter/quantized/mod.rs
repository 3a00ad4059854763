//! Frozen weights in 4 or 8 bits, for training adapters beside them: QLoRA,
//! <https://arxiv.org/abs/2305.14314>.
//!
//! Numbers are held in blocks of 64 with one scale each, on the host. A product turns them into f32
//! tile by tile, forwards and backwards; nothing of a tile outlives it. On a GPU the tiles are
//! uploaded as they are needed.

mod matrix;
mod nf4;
mod recorded;
mod scales;

pub use matrix::{CodeKind, Packed, QuantizedMatrix};
pub use recorded::{LinearMap, record};

use burn::module::Param;
use burn::tensor::{DType, Tensor};
use fine_r1_core::model::Linear;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What four bits stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantizationType {
    /// Quantiles of the normal distribution.
    #[default]
    Nf4,
}

/// How weights are packed.
#[derive(Debug, Clone, Copy)]
pub struct Quantizer {
    /// What a code stands for.
    pub kind: CodeKind,
    /// Whether the scales are quantised, too.
    pub double: bool,
}

impl Quantizer {
    /// Bytes that a matrix `[out, in]` takes.
    #[must_use]
    pub fn bytes(self, [output, input]: [usize; 2]) -> usize {
        QuantizedMatrix::bytes_of([output, input], self)
    }

    /// Packs a layer's weight, whose numbers are given up; returns the bytes that it takes now.
    ///
    /// # Panics
    /// The device fails to hand out the weight.
    pub fn pack(self, layer: &mut Linear) -> usize {
        let dims = layer.dims();
        let device = layer.weight.val().inner().device();
        // The only copy of the numbers, where the device's memory is the host's.
        let empty = Param::initialized(layer.weight.id, Tensor::zeros([0, 0], &layer.weight.device()));
        let weight = std::mem::replace(&mut layer.weight, empty).into_value().inner();
        let dtype = weight.dtype();
        let data = weight.into_data().convert_dtype(DType::F32);
        let numbers = data.as_slice::<f32>().expect("just converted");
        let matrix = QuantizedMatrix::new(numbers, dims, self, device, dtype);
        let bytes = matrix.bytes();
        layer.packed = Some(Arc::new(Packed::new(matrix)));
        bytes
    }
}
