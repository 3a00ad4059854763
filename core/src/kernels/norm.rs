//! RMSNorm, and a residual with the RMSNorm behind it: each one pass over the rows.
//!
//! The plain path takes five operations, of which a GPU without fusion writes every result to memory. Rounding is
//! that of [`crate::model::RmsNorm`]: squares and scale in f32, then the input's precision.

mod kernel;

use super::launch::{UNITS, cubes, is_on_gpu, is_recorded, sum_over_cube, vector_size};
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, assert_shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

/// `x / sqrt(mean(x²) + ε) · w` over the last axis; `None` where the input does not lie on a GPU, or
/// anything is recorded or of another precision.
///
/// # Shapes
/// - input and output: `[..., hidden]`
/// - weight: `[hidden]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn rms_norm<const D: usize>(input: &Tensor<D>, weight: &Tensor<1>, epsilon: f64) -> Option<Tensor<D>> {
    let [hidden] = weight.dims();
    assert_shape!(input, [.., hidden]);
    if !is_on_gpu(input) || is_recorded(weight) || input.dtype() != weight.dtype() {
        return None;
    }
    let (input, weight) = (input.clone().into_dispatch(), weight.clone().into_dispatch());
    Some(Tensor::from_dispatch(Dispatch::fused_rms_norm(input, weight, epsilon as f32)))
}

/// A sum, and its RMSNorm; `None` as [`rms_norm`].
///
/// # Shapes
/// - input, residual and both outputs: `[..., hidden]`
/// - weight: `[hidden]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn add_rms_norm<const D: usize>(
    input: &Tensor<D>,
    residual: &Tensor<D>,
    weight: &Tensor<1>,
    epsilon: f64,
) -> Option<(Tensor<D>, Tensor<D>)> {
    let [hidden] = weight.dims();
    assert_shape!(input, [.., hidden]);
    assert_eq!(input.dims(), residual.dims(), "a residual has its input's shape");
    let is_mixed = input.dtype() != weight.dtype() || input.dtype() != residual.dtype();
    if !is_on_gpu(input) || is_recorded(weight) || is_recorded(residual) || is_mixed {
        return None;
    }
    let (sum, normed) = Dispatch::fused_add_rms_norm(
        input.clone().into_dispatch(),
        residual.clone().into_dispatch(),
        weight.clone().into_dispatch(),
        epsilon as f32,
    );
    Some((Tensor::from_dispatch(sum), Tensor::from_dispatch(normed)))
}

/// The operations as burn routes them to its backends.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub trait NormOps: Backend {
    /// See [`rms_norm`].
    #[fusion(dtype = input, shape = input)]
    fn fused_rms_norm(input: FloatTensor<Self>, weight: FloatTensor<Self>, epsilon: f32)
    -> FloatTensor<Self>;

    /// See [`add_rms_norm`].
    #[fusion(meta = |input, _residual, _weight, _epsilon| (input.clone(), input.clone()))]
    fn fused_add_rms_norm(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

impl NormOps for CubeBackend {
    fn fused_rms_norm(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> FloatTensor<Self> {
        let (input, weight) = (into_contiguous(input), into_contiguous(weight));
        let [rows, hidden] = rows_of(&input);
        let client = input.client.clone();
        let output = empty_like(&input);
        let size = vector_size(&[&input, &weight]);
        let dtype = dtype_to_storage_type(input.dtype);
        kernel::norm_rows::launch(
            &client,
            cubes(rows),
            CubeDim::new_1d(UNITS),
            size,
            input.into_tensor_arg(),
            weight.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            rows as u32,
            epsilon,
            hidden / size,
            hidden,
            dtype,
        );
        output
    }

    fn fused_add_rms_norm(
        input: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [input, residual, weight] = [input, residual, weight].map(into_contiguous);
        let [rows, hidden] = rows_of(&input);
        let client = input.client.clone();
        let (sum, output) = (empty_like(&input), empty_like(&input));
        let size = vector_size(&[&input, &weight]);
        let dtype = dtype_to_storage_type(input.dtype);
        kernel::add_and_norm_rows::launch(
            &client,
            cubes(rows),
            CubeDim::new_1d(UNITS),
            size,
            input.into_tensor_arg(),
            residual.into_tensor_arg(),
            weight.into_tensor_arg(),
            sum.clone().into_tensor_arg(),
            output.clone().into_tensor_arg(),
            rows as u32,
            epsilon,
            hidden / size,
            hidden,
            dtype,
        );
        (sum, output)
    }
}

/// Rows and their width.
fn rows_of(tensor: &FloatTensor<CubeBackend>) -> [usize; 2] {
    let shape = tensor.shape();
    let hidden = shape[shape.num_dims() - 1];
    [shape.num_elements() / hidden, hidden]
}

fn empty_like(tensor: &FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    empty_device_contiguous_dtype(tensor.client.clone(), tensor.device.clone(), tensor.shape(), tensor.dtype)
}
