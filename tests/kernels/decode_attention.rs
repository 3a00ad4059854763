//! Attention of new tokens over the cache.

use crate::{assert_close, both, gpu};
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor};
use fine_r1_core::kernels::decode_attention;

#[track_caller]
fn compare(heads: usize, kv_heads: usize, head_dim: usize, starts: &[i32], keys: usize, capacity: usize) {
    let batch = starts.len();
    let [query, plain_query] = both([batch, heads, 1, head_dim], 21);
    let [key, plain_key] = both([batch, kv_heads, capacity, head_dim], 22);
    let [value, plain_value] = both([batch, kv_heads, capacity, head_dim], 23);
    let on_gpu = Tensor::<1, Int>::from_ints(starts, &gpu());
    let found = decode_attention(query, key, value, on_gpu, keys);
    // Row by row and head by head, as the formula has it.
    let mut rows = Vec::new();
    for (row, start) in starts.iter().enumerate() {
        let (start, length) = (*start as usize, keys - *start as usize);
        for head in 0..heads {
            let of = |tensor: &Tensor<4>, head: usize, from: usize, count: usize| {
                let part =
                    tensor.clone().slice([row..row + 1, head..head + 1, from..from + count, 0..head_dim]);
                part.reshape([count, head_dim])
            };
            let kv_head = head / (heads / kv_heads);
            let scores =
                of(&plain_query, head, 0, 1).matmul(of(&plain_key, kv_head, start, length).transpose());
            let weights = softmax(scores / (head_dim as f64).sqrt(), 1);
            rows.push(weights.matmul(of(&plain_value, kv_head, start, length)));
        }
    }
    let expected = Tensor::cat(rows, 0).reshape([batch, 1, heads * head_dim]);
    assert_close(&format!("{heads} / {kv_heads} heads of {head_dim}, {keys} keys"), found, expected);
}

#[test]
fn heads_share_keys() {
    compare(16, 2, 128, &[0], 200, 256);
    compare(4, 2, 32, &[0, 0, 0], 40, 64);
    compare(3, 3, 64, &[0], 129, 129);
}

#[test]
fn what_lies_beyond_the_newest_token_is_not_seen() {
    compare(4, 2, 32, &[0], 1, 300);
    compare(4, 2, 32, &[0], 128, 300);
}

#[test]
fn padding_on_the_left_is_not_seen() {
    compare(4, 2, 32, &[0, 5, 131, 299], 300, 320);
}

#[test]
fn a_head_that_no_vector_divides_is_read_right() {
    compare(2, 1, 10, &[0, 3], 20, 21);
}
