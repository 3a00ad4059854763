//! The product of codes with few rows.

mod kernel;

use super::codes::BLOCK;
use crate::kernels::gemv::{LINE, LINES};
use crate::kernels::launch::{cubes, has_planes_of};
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension};
use burn::tensor::Shape;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

/// The operation as burn routes it to its backends.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub trait QuantizedGemvOps: Backend {
    /// `x Wᵀ` of rows `[rows, in]` and codes of `bits` bits; see [`super::BlockQuantized`].
    #[fusion(dtype = input, shape = product(input, codes))]
    fn fused_quantized_gemv(
        input: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        bits: usize,
    ) -> FloatTensor<Self>;
}

/// `[rows, out]`
fn product(input: &Shape, codes: &Shape) -> Shape {
    Shape::new([input[0], codes[0]])
}

impl QuantizedGemvOps for CubeBackend {
    fn fused_quantized_gemv(
        input: FloatTensor<Self>,
        codes: IntTensor<Self>,
        scales: FloatTensor<Self>,
        bits: usize,
    ) -> FloatTensor<Self> {
        let [input, codes, scales] = [input, codes, scales].map(into_contiguous);
        let [rows, width] = input.shape().dims::<2>();
        let shape = product(&input.shape(), &codes.shape());
        let outputs = shape[1];
        let client = input.client.clone();
        let dtype = input.dtype;
        let output = empty_device_contiguous_dtype(client.clone(), input.device.clone(), shape, dtype);
        kernel::multiply_codes::launch(
            &client,
            cubes(outputs.div_ceil(LINES as usize)),
            CubeDim::new_2d(LINE, LINES),
            input.into_tensor_arg(),
            codes.into_tensor_arg(),
            scales.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            outputs as u32,
            rows,
            width,
            bits,
            has_planes_of(&client, LINE),
            dtype_to_storage_type(dtype),
        );
        output
    }
}
