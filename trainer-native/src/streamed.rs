//! Tensors that are read from their device when their turn to be written has come, so that a file of
//! gigabytes needs no second copy of them in memory.

use burn::tensor::{DType, Tensor};
use safetensors::tensor::{Dtype, View};
use std::borrow::Cow;

/// A tensor on its way into a safetensors file.
#[derive(Debug)]
pub struct Streamed {
    values: Tensor<1>,
    shape: Vec<usize>,
    dtype: DType,
}

impl Streamed {
    /// `values` will be written as `dtype`, which is f32, f16 or bf16.
    #[must_use]
    pub fn new(values: Tensor<1>, shape: Vec<usize>, dtype: DType) -> Self {
        Self { values, shape, dtype }
    }
}

impl View for Streamed {
    fn dtype(&self) -> Dtype {
        match self.dtype {
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.clone().cast(self.dtype).into_data().as_bytes().to_vec().into()
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.size()
    }
}
