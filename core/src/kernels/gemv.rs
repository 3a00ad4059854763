//! Products of weights with few rows, which decoding is made of: every weight is read once, however many rows there are.
//!
//! burn 0.22 has kernels for one row and for many; two to sixteen rows get those of many. Here each output has a line of
//! 32 units, which read the weight's row side by side. What a block of the decoder multiplies with the same input is
//! multiplied in one launch, and what it adds or multiplies to the product is done before the product is written: at one
//! row the launches cost more than the reading.

mod kernel;

use super::launch::{can_bind, cubes, has_planes_of, is_on_gpu, is_recorded, vector_size};
use burn::backend::cubecl::dtype_to_storage_type;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor, assert_shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
pub(super) use kernel::sum_over_line;

/// Most rows: with more, tensor cores pay.
pub const MAX_ROWS: usize = 8;
/// Units that share an output, a power of two.
pub(super) const LINE: u32 = 32;
/// Outputs of a cube.
pub(super) const LINES: u32 = 8;

/// `x Wᵀ` for at most [`MAX_ROWS`] rows; `None` where there are more, or they do not lie on a GPU, or anything is recorded or
/// of another precision.
///
/// # Shapes
/// - input: `[..., in]`
/// - weight: `[out, in]`
/// - output: `[..., out]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn gemv<const D: usize>(input: &Tensor<D>, weight: &Tensor<2>) -> Option<Tensor<D>> {
    if !takes(input, weight) {
        return None;
    }
    let (input, weight) = (input.clone().into_dispatch(), weight.clone().into_dispatch());
    Some(Tensor::from_dispatch(Dispatch::fused_gemv(input, weight)))
}

/// `x Wᵀ + y`; `None` as [`gemv`].
///
/// # Shapes
/// - input: `[..., in]`
/// - weight: `[out, in]`
/// - addend and output: `[..., out]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn gemv_add<const D: usize>(
    input: &Tensor<D>,
    weight: &Tensor<2>,
    addend: &Tensor<D>,
) -> Option<Tensor<D>> {
    if !takes(input, weight) || is_recorded(addend) || addend.dtype() != input.dtype() {
        return None;
    }
    assert_eq!(addend.shape(), product(&input.shape(), &weight.shape()), "an addend has the product's shape");
    Some(Tensor::from_dispatch(Dispatch::fused_gemv_add(
        input.clone().into_dispatch(),
        weight.clone().into_dispatch(),
        addend.clone().into_dispatch(),
    )))
}

/// `x Wᵀ + b` for queries, keys and values; `None` as [`gemv`].
///
/// # Shapes
/// - input: `[..., in]`
/// - weights: `[out, in]` each
/// - biases: `[out]` each
/// - outputs: `[..., out]` each
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn gemv_three<const D: usize>(
    input: &Tensor<D>,
    weights: &[Tensor<2>; 3],
    biases: &[Tensor<1>; 3],
) -> Option<[Tensor<D>; 3]> {
    let takes_bias = |bias: &Tensor<1>| !is_recorded(bias) && bias.dtype() == input.dtype();
    if !weights.iter().all(|weight| takes(input, weight)) || !biases.iter().all(takes_bias) {
        return None;
    }
    let [query, key, value] = weights.clone().map(Tensor::into_dispatch);
    let [query_bias, key_bias, value_bias] = biases.clone().map(Tensor::into_dispatch);
    let input = input.clone().into_dispatch();
    let (query, key, value) =
        Dispatch::fused_gemv_three(input, query, key, value, query_bias, key_bias, value_bias);
    Some([query, key, value].map(Tensor::from_dispatch))
}

/// `silu(x Gᵀ) · x Uᵀ`; `None` as [`gemv`].
///
/// # Shapes
/// - input: `[..., in]`
/// - gate, up: `[out, in]`
/// - output: `[..., out]`
///
/// # Panics
/// A shape is another.
#[must_use]
pub fn gemv_swiglu<const D: usize>(input: &Tensor<D>, gate: &Tensor<2>, up: &Tensor<2>) -> Option<Tensor<D>> {
    if !takes(input, gate) || !takes(input, up) {
        return None;
    }
    assert_eq!(gate.dims(), up.dims(), "a gate for every number");
    Some(Tensor::from_dispatch(Dispatch::fused_gemv_swiglu(
        input.clone().into_dispatch(),
        gate.clone().into_dispatch(),
        up.clone().into_dispatch(),
    )))
}

fn takes<const D: usize>(input: &Tensor<D>, weight: &Tensor<2>) -> bool {
    let (rows, width) = rows_and_width(&input.shape());
    let [outputs, _] = weight.dims();
    if rows > MAX_ROWS || !is_on_gpu(input) || is_recorded(weight) || input.dtype() != weight.dtype() {
        return false;
    }
    assert_shape!(weight, [outputs, width]);
    true
}

/// The operations as burn routes them to its backends.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub trait GemvOps: Backend {
    /// See [`gemv`].
    #[fusion(dtype = input, shape = product(input, weight))]
    fn fused_gemv(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self>;

    /// See [`gemv_add`].
    #[fusion(dtype = input, shape = product(input, weight))]
    fn fused_gemv_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        addend: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// See [`gemv_three`].
    #[fusion(meta = three_products)]
    fn fused_gemv_three(
        input: FloatTensor<Self>,
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        query_bias: FloatTensor<Self>,
        key_bias: FloatTensor<Self>,
        value_bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// See [`gemv_swiglu`].
    #[fusion(dtype = input, shape = product(input, gate))]
    fn fused_gemv_swiglu(
        input: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// `[..., out]`
fn product(input: &Shape, weight: &Shape) -> Shape {
    let mut shape = input.clone();
    let last = shape.num_dims() - 1;
    shape[last] = weight[0];
    shape
}

fn rows_and_width(input: &Shape) -> (usize, usize) {
    let width = input[input.num_dims() - 1];
    (input.num_elements() / width, width)
}

#[cfg(feature = "fusion")]
fn three_products(
    input: &TensorSpec,
    query: &TensorSpec,
    key: &TensorSpec,
    value: &TensorSpec,
    _query_bias: &TensorSpec,
    _key_bias: &TensorSpec,
    _value_bias: &TensorSpec,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let of =
        |weight: &TensorSpec| TensorSpec { shape: product(&input.shape, &weight.shape), ..input.clone() };
    (of(query), of(key), of(value))
}

impl GemvOps for CubeBackend {
    fn fused_gemv(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let [input, weight] = [input, weight].map(into_contiguous);
        let launch = Launch::new(&input, &[&weight]);
        let output = launch.empty(&input, &weight);
        kernel::multiply_rows::launch(
            &input.client.clone(),
            cubes_of(&[&weight]),
            CubeDim::new_2d(LINE, LINES),
            launch.vector_size,
            input.into_tensor_arg(),
            weight.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            launch.rows,
            launch.width,
            launch.has_planes,
            launch.storage,
        );
        output
    }

    fn fused_gemv_add(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        addend: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        multiply_and_add([input, weight, addend].map(into_contiguous), false)
    }

    fn fused_gemv_three(
        input: FloatTensor<Self>,
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        query_bias: FloatTensor<Self>,
        key_bias: FloatTensor<Self>,
        value_bias: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [input, query, key, value] = [input, query, key, value].map(into_contiguous);
        let [query_bias, key_bias, value_bias] = [query_bias, key_bias, value_bias].map(into_contiguous);
        if !can_bind(&input.client, 10) {
            let products = [(query, query_bias), (key, key_bias), (value, value_bias)]
                .map(|(weight, bias)| multiply_and_add([input.clone(), weight, bias], true));
            let [query, key, value] = products;
            return (query, key, value);
        }
        let launch = Launch::new(&input, &[&query, &key, &value]);
        let [queries, keys, values] = [&query, &key, &value].map(|weight| launch.empty(&input, weight));
        kernel::multiply_rows_by_three::launch(
            &input.client.clone(),
            cubes_of(&[&query, &key, &value]),
            CubeDim::new_2d(LINE, LINES),
            launch.vector_size,
            input.into_tensor_arg(),
            query.into_tensor_arg(),
            key.into_tensor_arg(),
            value.into_tensor_arg(),
            query_bias.into_tensor_arg(),
            key_bias.into_tensor_arg(),
            value_bias.into_tensor_arg(),
            queries.clone().into_tensor_arg(),
            keys.clone().into_tensor_arg(),
            values.clone().into_tensor_arg(),
            launch.rows,
            launch.width,
            launch.has_planes,
            launch.storage,
        );
        (queries, keys, values)
    }

    fn fused_gemv_swiglu(
        input: FloatTensor<Self>,
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let [input, gate, up] = [input, gate, up].map(into_contiguous);
        let launch = Launch::new(&input, &[&gate, &up]);
        let output = launch.empty(&input, &gate);
        kernel::multiply_rows_and_gate::launch(
            &input.client.clone(),
            cubes_of(&[&gate]),
            CubeDim::new_2d(LINE, LINES),
            launch.vector_size,
            input.into_tensor_arg(),
            gate.into_tensor_arg(),
            up.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            launch.rows,
            launch.width,
            launch.has_planes,
            launch.storage,
        );
        output
    }
}

/// The product and a tensor of its shape, or a bias for every row.
fn multiply_and_add(
    [input, weight, addend]: [FloatTensor<CubeBackend>; 3],
    is_bias: bool,
) -> FloatTensor<CubeBackend> {
    let launch = Launch::new(&input, &[&weight]);
    let output = launch.empty(&input, &weight);
    kernel::multiply_rows_and_add::launch(
        &input.client.clone(),
        cubes_of(&[&weight]),
        CubeDim::new_2d(LINE, LINES),
        launch.vector_size,
        input.into_tensor_arg(),
        weight.into_tensor_arg(),
        addend.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        launch.rows,
        launch.width,
        is_bias,
        launch.has_planes,
        launch.storage,
    );
    output
}

/// How products of one input are laid over a device.
struct Launch {
    rows: usize,
    /// Of the input, in vectors.
    width: usize,
    vector_size: usize,
    has_planes: bool,
    storage: ElemType,
}

impl Launch {
    fn new(input: &FloatTensor<CubeBackend>, weights: &[&FloatTensor<CubeBackend>]) -> Self {
        let (rows, width) = rows_and_width(&input.shape());
        let tensors: Vec<_> = std::iter::once(input).chain(weights.iter().copied()).collect();
        let vector_size = vector_size(&tensors);
        Self {
            rows,
            width: width / vector_size,
            vector_size,
            has_planes: has_planes_of(&input.client, LINE),
            storage: dtype_to_storage_type(input.dtype),
        }
    }

    fn empty(
        &self,
        input: &FloatTensor<CubeBackend>,
        weight: &FloatTensor<CubeBackend>,
    ) -> FloatTensor<CubeBackend> {
        let shape = product(&input.shape(), &weight.shape());
        empty_device_contiguous_dtype(input.client.clone(), input.device.clone(), shape, input.dtype)
    }
}

/// A line for every output; a cube has lines of one weight alone.
fn cubes_of(weights: &[&FloatTensor<CubeBackend>]) -> CubeCount {
    let of_one = |weight: &&FloatTensor<CubeBackend>| weight.shape()[0].div_ceil(LINES as usize);
    cubes(weights.iter().map(of_one).sum())
}
