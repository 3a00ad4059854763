//! Heads taken apart and turned by their positions' angles, in one pass from the projection to attention and the cache.
//!
//! The plain path reshapes, transposes, cuts in halves, multiplies four times and joins again. The angles are those of
//! [`crate::model::rotary::Rotary`], three axes (M-RoPE) or one; they are applied in f32 and rounded once.

#![expect(clippy::too_many_arguments, reason = "a kernel's buffers and sizes are its arguments")]

mod kernel;

use super::launch::{can_bind, is_on_gpu, vector_size};
use crate::model::rotary::Rotary;
use burn::backend::cubecl::dtype_to_storage_type;
#[cfg(feature = "fusion")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, Shape, Slice, Tensor, assert_shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::calculate_cube_count_elemwise;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;

/// Splits projected queries or keys into heads and turns them; `None` where they do not lie on a GPU, or are
/// recorded, or the angles are not f32 of their positions.
///
/// # Shapes
/// - states: `[batch, seq, heads × head_dim]`
/// - output: `[batch, heads, seq, head_dim]`
#[must_use]
pub fn rotate_heads(states: &Tensor<3>, rotary: &Rotary, heads: usize) -> Option<Tensor<4>> {
    let [batch, seq, width] = states.dims();
    assert_shape!(states, [batch, seq, width]);
    let angles = [batch, 1, seq, width / heads / 2];
    let fits = rotary.cos.dims() == angles && rotary.cos.dtype() == DType::F32;
    if !is_on_gpu(states) || !fits {
        return None;
    }
    let [states, cos, sin] = [
        states.clone().into_dispatch(),
        rotary.cos.clone().into_dispatch(),
        rotary.sin.clone().into_dispatch(),
    ];
    Some(Tensor::from_dispatch(Dispatch::fused_rotate_heads(states, cos, sin, heads)))
}

/// Splits projected queries, keys and values into heads, turns queries and keys, and writes keys and values into a
/// block's cache from token `position` on.
///
/// The caches come back; they are written in place where nobody else holds them.
///
/// # Shapes
/// - projected: `[batch, seq, heads × head_dim]`, and twice `[batch, seq, kv_heads × head_dim]`
/// - caches: `[batch, kv_heads, capacity, head_dim]`
/// - query of the output: `[batch, heads, seq, head_dim]`
///
/// # Errors
/// The caches as they were, where [`rotate_heads`] gives `None`, or states and caches differ in precision.
///
/// # Panics
/// A shape is another, or the tokens do not fit.
#[expect(
    clippy::result_large_err,
    reason = "caches go one way or the other at every block and token: no boxes"
)]
pub fn rotate_and_store(
    [query, key, value]: &[Tensor<3>; 3],
    rotary: &Rotary,
    caches: [Tensor<4>; 2],
    position: usize,
) -> Result<(Tensor<4>, [Tensor<4>; 2]), [Tensor<4>; 2]> {
    let [batch, seq, _] = query.dims();
    let [_, kv_heads, capacity, head_dim] = caches[0].dims();
    assert_shape!(key, [batch, seq, kv_heads * head_dim]);
    assert_shape!(value, [batch, seq, kv_heads * head_dim]);
    assert_shape!(caches[1], [batch, kv_heads, capacity, head_dim]);
    assert!(position + seq <= capacity, "{} tokens do not fit a cache of {capacity}", position + seq);
    let fits = rotary.cos.dims() == [batch, 1, seq, head_dim / 2] && rotary.cos.dtype() == DType::F32;
    let is_one_kind = [key.dtype(), value.dtype(), caches[0].dtype(), caches[1].dtype()]
        .iter()
        .all(|dtype| *dtype == query.dtype());
    if !fits || !is_one_kind || ![query, key, value].iter().all(|states| is_on_gpu(states)) {
        return Err(caches);
    }
    let [query, key, value] = [query, key, value].map(|states| states.clone().into_dispatch());
    let [cos, sin] = [&rotary.cos, &rotary.sin].map(|angles| angles.clone().into_dispatch());
    let [keys, values] = caches.map(Tensor::into_dispatch);
    let (query, keys, values) =
        Dispatch::fused_rotate_and_store(query, key, value, cos, sin, keys, values, position);
    Ok((Tensor::from_dispatch(query), [keys, values].map(Tensor::from_dispatch)))
}

/// The operation as burn routes it to its backends.
#[backend_extension(Cube, Fusion: cfg(feature = "fusion"))]
pub trait RotaryOps: Backend {
    /// See [`rotate_heads`].
    #[fusion(dtype = states, shape = split(states, heads))]
    fn fused_rotate_heads(
        states: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self>;

    /// See [`rotate_and_store`].
    #[fusion(meta = stored)]
    fn fused_rotate_and_store(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        position: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

#[cfg(feature = "fusion")]
fn stored(
    query: &TensorSpec,
    _key: &TensorSpec,
    _value: &TensorSpec,
    _cos: &TensorSpec,
    _sin: &TensorSpec,
    keys: &TensorSpec,
    values: &TensorSpec,
    _position: &usize,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let heads = query.shape[2] / keys.shape[3];
    (TensorSpec::new(split(&query.shape, &heads), query.dtype), keys.clone(), values.clone())
}

/// `[batch, heads, seq, head_dim]`
fn split(states: &Shape, heads: &usize) -> Shape {
    let [batch, seq, width] = states.dims::<3>();
    Shape::new([batch, *heads, seq, width / heads])
}

impl RotaryOps for CubeBackend {
    fn fused_rotate_heads(
        states: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        heads: usize,
    ) -> FloatTensor<Self> {
        let [states, cos, sin] = [states, cos, sin].map(into_contiguous);
        let [_, seq, width] = states.shape().dims::<3>();
        let client = states.client.clone();
        let shape = split(&states.shape(), &heads);
        let count = shape.num_elements() / 2;
        let dtype = states.dtype;
        let output = empty_device_contiguous_dtype(client.clone(), states.device.clone(), shape, dtype);
        // The angles' last axis is half a head: what divides it divides a head's other half, too.
        let size = vector_size(&[&states, &cos]);
        let units = count / size;
        let dim = CubeDim::new(&client, units);
        kernel::rotate::launch(
            &client,
            calculate_cube_count_elemwise(&client, units, dim),
            dim,
            size,
            states.into_tensor_arg(),
            cos.into_tensor_arg(),
            sin.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            units as u32,
            seq as u32,
            heads,
            width / heads / 2 / size,
            dtype_to_storage_type(dtype),
        );
        output
    }

    fn fused_rotate_and_store(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        position: usize,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [query, key, value, cos, sin] = [query, key, value, cos, sin].map(into_contiguous);
        let [keys, values] = [keys, values].map(|cache| {
            let cache = into_contiguous(cache);
            if cache.can_mut() { cache } else { cache.copy() }
        });
        let [_, seq, width] = query.shape().dims::<3>();
        let [_, kv_heads, capacity, head_dim] = keys.shape().dims::<4>();
        let heads = width / head_dim;
        if !can_bind(&query.client, 8) {
            return store_one_by_one([query, key, value], [cos, sin], [keys, values], position);
        }
        let client = query.client.clone();
        let shape = split(&query.shape(), &heads);
        let dtype = query.dtype;
        let output =
            empty_device_contiguous_dtype(client.clone(), query.device.clone(), shape.clone(), dtype);
        let size = vector_size(&[&query, &key, &cos]);
        let units = shape.num_elements() / heads * (heads + 2 * kv_heads) / 2 / size;
        let dim = CubeDim::new(&client, units);
        kernel::rotate_and_write::launch(
            &client,
            calculate_cube_count_elemwise(&client, units, dim),
            dim,
            size,
            query.into_tensor_arg(),
            key.into_tensor_arg(),
            value.into_tensor_arg(),
            cos.into_tensor_arg(),
            sin.into_tensor_arg(),
            output.clone().into_tensor_arg(),
            keys.clone().into_tensor_arg(),
            values.clone().into_tensor_arg(),
            units as u32,
            seq as u32,
            position as u32,
            capacity as u32,
            heads,
            kv_heads,
            head_dim / 2 / size,
            dtype_to_storage_type(dtype),
        );
        (output, keys, values)
    }
}

/// The same where a kernel may not have all those tensors.
fn store_one_by_one(
    [query, key, value]: [FloatTensor<CubeBackend>; 3],
    [cos, sin]: [FloatTensor<CubeBackend>; 2],
    [keys, values]: [FloatTensor<CubeBackend>; 2],
    position: usize,
) -> (FloatTensor<CubeBackend>, FloatTensor<CubeBackend>, FloatTensor<CubeBackend>) {
    let [batch, seq, width] = query.shape().dims::<3>();
    let [_, kv_heads, _, head_dim] = keys.shape().dims::<4>();
    let query = CubeBackend::fused_rotate_heads(query, cos.clone(), sin.clone(), width / head_dim);
    let key = CubeBackend::fused_rotate_heads(key, cos, sin, kv_heads);
    let value = CubeBackend::float_reshape(value, Shape::new([batch, seq, kv_heads, head_dim]));
    let value = CubeBackend::float_swap_dims(value, 1, 2);
    let place: [Slice; 4] =
        [(0..batch).into(), (0..kv_heads).into(), (position..position + seq).into(), (0..head_dim).into()];
    let keys = CubeBackend::float_slice_assign(keys, &place, key);
    let values = CubeBackend::float_slice_assign(values, &place, value);
    (query, keys, values)
}
