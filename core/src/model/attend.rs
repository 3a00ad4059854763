//! Scaled dot-product attention with grouped key and value heads.
//!
//! Decomposed into two products and a softmax in f32: burn 0.22's fused attention has no grouped
//! heads on its GPU backends and silently reads the wrong head there. The heads that share a key
//! are folded into the rows, so keys and values are never repeated.

#[cfg(feature = "passes")]
use crate::passes;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Tensor, assert_shape};

/// Most scores (`heads × rows × keys`) that one product may hold; longer prompts go in slices.
const MAX_SCORES: usize = 1 << 27;

/// Attends queries to keys.
///
/// # Shapes
/// - `query`: `[batch, heads, rows, head_dim]`
/// - `key`, `value`: `[batch, kv_heads, keys, head_dim]`, `kv_heads` divides `heads`
/// - `bias`, added to the scores before the softmax: `[batch or 1, 1, rows or 1, keys]`
/// - output: `[batch, rows, heads × head_dim]`
#[must_use]
pub fn attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<3> {
    let [batch, heads, rows, head_dim] = query.dims();
    let [_, kv_heads, keys, _] = key.dims();
    assert_shape!(key, [batch, kv_heads, keys, head_dim]);
    assert_shape!(value, [batch, kv_heads, keys, head_dim]);
    let slice = (MAX_SCORES / (batch * heads * keys).max(1)).max(1);
    if slice >= rows {
        return attend_rows(query, key.transpose(), value, bias);
    }
    let key = key.transpose();
    let parts = (0..rows).step_by(slice).map(|start| {
        let length = slice.min(rows - start);
        attend_rows(
            query.clone().narrow(2, start, length),
            key.clone(),
            value.clone(),
            bias.clone().map(|bias| if bias.dims()[2] == 1 { bias } else { bias.narrow(2, start, length) }),
        )
    });
    Tensor::cat(parts.collect(), 1)
}

/// `key` comes transposed: `[batch, kv_heads, head_dim, keys]`.
fn attend_rows(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<3> {
    let [batch, heads, rows, head_dim] = query.dims();
    let [_, kv_heads, _, _] = key.dims();
    let group = heads / kv_heads;
    let dtype = query.dtype();
    let scale = (head_dim as f64).powf(-0.5);
    let query = (query * scale).reshape([batch, kv_heads, group * rows, head_dim]);
    let scores = query.matmul(key).cast(DType::F32);
    softmax_of(scores, bias, group)
        .cast(dtype)
        .matmul(value)
        .reshape([batch, heads, rows, head_dim])
        .swap_dims(1, 2)
        .reshape([batch, rows, heads * head_dim])
}

/// # Shapes
/// - `scores` and output: `[batch, kv_heads, group × rows, keys]`
/// - `bias`: `[batch or 1, 1, rows or 1, keys]`
fn softmax_of(scores: Tensor<4>, bias: Option<Tensor<4>>, group: usize) -> Tensor<4> {
    #[cfg(feature = "passes")]
    if passes::apply_to(&scores) && bias.as_ref().is_none_or(passes::apply_to) {
        return passes::biased_softmax(scores, bias);
    }
    let Some(bias) = bias else {
        return softmax(scores, 3);
    };
    let shape = scores.dims();
    let [batch, kv_heads, rows, keys] = shape;
    let [bias_batch, _, bias_rows, _] = bias.dims();
    let bias = bias.reshape([bias_batch, 1, 1, bias_rows, keys]);
    let scores = scores.reshape([batch, kv_heads, group, rows / group, keys]) + bias;
    softmax(scores.reshape(shape), 3)
}
