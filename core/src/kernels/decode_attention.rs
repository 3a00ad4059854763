//! Attention of one new token a row over the cache, with grouped key and value heads.
//!
//! A cube for every head goes over the keys tile by tile and keeps a running maximum and sum, so that no scores are
//! written to memory (online softmax: <https://arxiv.org/abs/1805.02867>, as in FlashAttention,
//! <https://arxiv.org/abs/2205.14135>). It reads the cache where it lies, with its capacity; the plain path takes a
//! slice of it, a mask that the host makes for every token, and two products.

mod kernel;

use super::launch::{is_on_gpu, max_over_cube, sum_over_cube};
use crate::model::mask::HIDDEN;
use burn::backend::cubecl::dtype_to_storage_type;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor, assert_shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

/// Keys of a tile, and units of a cube: at least the width of the widest head.
const TILE: u32 = 128;

/// Whether [`decode_attention`] reads a cache with these keys: they lie on a GPU, are not recorded, and their heads
/// are no wider than 128.
///
/// # Shapes
/// - key: `[batch, kv_heads, capacity, head_dim]`
#[must_use]
pub fn can_attend(key: &Tensor<4>) -> bool {
    is_on_gpu(key) && key.dims()[3] <= TILE as usize
}

/// Attends the newest token of every row to the first `keys` tokens of the cache, without the `starts` tokens of
/// padding on its left.
///
/// # Shapes
/// - query: `[batch, heads, 1, head_dim]`
/// - key, value: `[batch, kv_heads, capacity, head_dim]`, `kv_heads` divides `heads`, `keys` is at most `capacity`
/// - starts: `[batch]`
/// - output: `[batch, 1, heads × head_dim]`
///
/// # Panics
/// [`can_attend`] says no, a shape is another, or query and cache differ in precision.
#[must_use]
pub fn decode_attention(
    query: Tensor<4>,
    key: Tensor<4>,
    value: Tensor<4>,
    starts: Tensor<1, Int>,
    keys: usize,
) -> Tensor<3> {
    let [batch, heads, _, head_dim] = query.dims();
    let [_, kv_heads, capacity, _] = key.dims();
    assert_shape!(query, [batch, heads, 1, head_dim]);
    assert_shape!(key, [batch, kv_heads, capacity, head_dim]);
    assert_shape!(value, [batch, kv_heads, capacity, head_dim]);
    assert_shape!(starts, [batch]);
    assert!(keys <= capacity, "{keys} keys of a cache of {capacity}");
    let dtypes = [query.dtype(), key.dtype(), value.dtype()];
    assert!(dtypes.iter().all(|dtype| *dtype == dtypes[0]), "one precision, not {dtypes:?}");
    assert!(can_attend(&key), "keys of {head_dim} numbers a head on {:?}", key.device());
    Tensor::from_dispatch(Dispatch::fused_decode_attention(
        query.into_dispatch(),
        key.into_dispatch(),
        value.into_dispatch(),
        starts.into_dispatch(),
        keys,
    ))
}

/// The operation as burn routes it to its backends.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub trait DecodeAttentionOps: Backend {
    /// See [`decode_attention`].
    #[fusion(dtype = query, shape = joined(query))]
    fn fused_decode_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        starts: IntTensor<Self>,
        keys: usize,
    ) -> FloatTensor<Self>;
}

/// `[batch, 1, heads × head_dim]`
fn joined(query: &Shape) -> Shape {
    let [batch, heads, rows, head_dim] = query.dims::<4>();
    Shape::new([batch, rows, heads * head_dim])
}

impl DecodeAttentionOps for CubeBackend {
    fn fused_decode_attention(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        starts: IntTensor<Self>,
        keys: usize,
    ) -> FloatTensor<Self> {
        let query = into_contiguous(query);
        // Rows of the cache may lie apart; a copy of it for every token would cost more than the attention.
        let [key, value] = [key, value].map(with_whole_rows);
        let starts = into_contiguous(starts);
        let [batch, heads, _, head_dim] = query.shape().dims::<4>();
        let [_, kv_heads, _, _] = key.shape().dims::<4>();
        let client = query.client.clone();
        let dtype = query.dtype;
        let shape = joined(&query.shape());
        let output = empty_device_contiguous_dtype(client.clone(), query.device.clone(), shape, dtype);
        let size = vector_size_of_rows(&query, &[&key, &value]);
        let strides = |tensor: &FloatTensor<Self>| {
            let strides = tensor.meta.strides();
            [0, 1, 2].map(|axis| (strides[axis] / size) as u32)
        };
        let ([key_row, key_head, key_token], [value_row, value_head, value_token]) =
            (strides(&key), strides(&value));
        let storage = [dtype_to_storage_type(dtype), dtype_to_storage_type(starts.dtype)];
        kernel::attend_newest::launch(
            &client,
            CubeCount::Static(heads as u32, batch as u32, 1),
            CubeDim::new_1d(TILE),
            size,
            query.into_tensor_arg(),
            key.into_tensor_arg(),
            value.into_tensor_arg(),
            starts.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            keys as u32,
            key_row,
            key_head,
            key_token,
            value_row,
            value_head,
            value_token,
            (head_dim as f32).powf(-0.5),
            HIDDEN,
            heads / kv_heads,
            head_dim,
            head_dim / size,
            storage,
        );
        output
    }
}

/// The tensor with the numbers of each head side by side.
fn with_whole_rows(tensor: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    if tensor.meta.strides()[3] == 1 { tensor } else { into_contiguous(tensor) }
}

/// Numbers that a unit reads of a query, a key and a value at once.
fn vector_size_of_rows(query: &FloatTensor<CubeBackend>, cache: &[&FloatTensor<CubeBackend>]) -> usize {
    let head_dim = query.shape()[3];
    let divides = |size: usize| {
        let divides_strides = |tensor: &&FloatTensor<CubeBackend>| {
            tensor.meta.strides()[..3].iter().all(|stride| stride.is_multiple_of(size))
        };
        head_dim.is_multiple_of(size) && cache.iter().all(divides_strides)
    };
    query
        .client
        .io_optimized_vector_sizes(query.dtype.size())
        .filter(|size| divides(*size))
        .max()
        .unwrap_or(1)
}
