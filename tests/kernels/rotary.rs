//! Heads that are split, turned and stored.

use crate::{assert_close, both, both_on, gpu, gpu_with_few_buffers, numbers};
use burn::tensor::Device;
use fine_r1_core::kernels::{rotate_and_store, rotate_heads};
use fine_r1_core::model::rotary::{Rotary, split_heads};

fn rotary([batch, seq, head_dim]: [usize; 3], device: &Device) -> Rotary {
    let angles = numbers(batch * seq * head_dim / 2, 12);
    Rotary::from_angles(&angles, [batch, seq, head_dim / 2], device)
}

#[test]
fn heads_are_split_and_turned_as_plainly() {
    for [batch, seq, heads, head_dim] in [[1, 1, 16, 128], [3, 1, 2, 32], [2, 5, 4, 32], [1, 7, 3, 6]] {
        let [states, plain] = both([batch, seq, heads * head_dim], 11);
        let size = [batch, seq, head_dim];
        let found = rotate_heads(&states, &rotary(size, &gpu()), heads).expect("on a GPU");
        let expected = rotary(size, &Device::flex()).apply(split_heads(plain, heads));
        assert_close(&format!("{batch} x {seq}, {heads} heads of {head_dim}"), found, expected);
    }
}

#[test]
fn keys_and_values_are_written_where_they_belong_and_nowhere_else() {
    keys_and_values_are_written(&gpu());
}

#[test]
fn keys_and_values_are_written_where_a_kernel_has_few_buffers() {
    keys_and_values_are_written(&gpu_with_few_buffers());
}

fn keys_and_values_are_written(gpu: &Device) {
    for [batch, seq, heads, kv_heads, head_dim] in [[1, 1, 16, 2, 128], [3, 1, 4, 2, 32], [2, 5, 3, 1, 6]] {
        let (capacity, position) = (seq + 7, 4);
        let [query, plain_query] = both_on(gpu, [batch, seq, heads * head_dim], 61);
        let [key, plain_key] = both_on(gpu, [batch, seq, kv_heads * head_dim], 62);
        let [value, plain_value] = both_on(gpu, [batch, seq, kv_heads * head_dim], 63);
        let cache = [batch, kv_heads, capacity, head_dim];
        let [keys, plain_keys] = both_on(gpu, cache, 64);
        let [values, plain_values] = both_on(gpu, cache, 65);
        let size = [batch, seq, head_dim];
        let (on_gpu, plain) = (rotary(size, gpu), rotary(size, &Device::flex()));
        let projected = [query, key, value];
        let (query, [keys, values]) =
            rotate_and_store(&projected, &on_gpu, [keys, values], position).expect("on a GPU");
        let place = [0..batch, 0..kv_heads, position..position + seq, 0..head_dim];
        let expected_keys =
            plain_keys.slice_assign(place.clone(), plain.apply(split_heads(plain_key, kv_heads)));
        let expected_values = plain_values.slice_assign(place, split_heads(plain_value, kv_heads));
        let what = format!("{batch} x {seq}, {heads} / {kv_heads} heads of {head_dim}");
        assert_close(&format!("queries, {what}"), query, plain.apply(split_heads(plain_query, heads)));
        assert_close(&format!("keys, {what}"), keys, expected_keys);
        assert_close(&format!("values, {what}"), values, expected_values);
    }
}

#[test]
fn a_cache_that_somebody_else_holds_stays_as_it_was() {
    let [states, _] = both([1, 1, 8], 66);
    let [cache, plain] = both([1, 1, 3, 8], 67);
    let held = cache.clone();
    let projected = [states.clone(), states.clone(), states];
    let stored = rotate_and_store(&projected, &rotary([1, 1, 8], &gpu()), [cache.clone(), cache], 1);
    assert!(stored.is_ok(), "on a GPU");
    assert_close("held", held, plain);
}
