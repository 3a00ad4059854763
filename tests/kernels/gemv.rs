//! Products of weights with few rows.

use crate::{assert_close, both, both_on, gpu, gpu_with_few_buffers};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use fine_r1_core::kernels::{MAX_ROWS, gemv, gemv_add, gemv_swiglu, gemv_three};

/// Rows, outputs and width: one vector and many, and what neither a vector nor a cube divides.
const SIZES: [[usize; 3]; 5] = [[1, 384, 128], [3, 9, 2048], [MAX_ROWS, 64, 96], [2, 1, 33], [5, 700, 64]];

fn product(input: Tensor<3>, weight: Tensor<2>) -> Tensor<3> {
    input.matmul(weight.transpose().unsqueeze())
}

#[test]
fn few_rows_are_multiplied_as_plainly() {
    for [rows, outputs, width] in SIZES {
        let [input, plain] = both([rows, 1, width], 31);
        let [weight, plain_weight] = both([outputs, width], 32);
        let found = gemv(&input, &weight).expect("on a GPU");
        assert_close(&format!("{rows} rows, {outputs} x {width}"), found, product(plain, plain_weight));
    }
}

#[test]
fn what_is_added_is_added_once() {
    for [rows, outputs, width] in SIZES {
        let [input, plain] = both([1, rows, width], 33);
        let [weight, plain_weight] = both([outputs, width], 34);
        let [addend, plain_addend] = both([1, rows, outputs], 35);
        let found = gemv_add(&input, &weight, &addend).expect("on a GPU");
        let expected = product(plain, plain_weight) + plain_addend;
        assert_close(&format!("{rows} rows, {outputs} x {width}"), found, expected);
    }
}

#[test]
fn three_weights_of_different_height_share_an_input() {
    three_weights_share_an_input(&gpu());
}

#[test]
fn three_weights_share_an_input_where_a_kernel_has_few_buffers() {
    three_weights_share_an_input(&gpu_with_few_buffers());
}

fn three_weights_share_an_input(gpu: &Device) {
    for [rows, outputs, width] in SIZES {
        let heights = [outputs, outputs.div_ceil(3), outputs + 5];
        let [input, plain] = both_on(gpu, [rows, 1, width], 36);
        let weights = [0, 1, 2].map(|part| both_on(gpu, [heights[part], width], 40 + part as u32));
        let biases = [0, 1, 2].map(|part| both_on(gpu, [heights[part]], 50 + part as u32));
        let on_gpu = weights.clone().map(|[weight, _]| weight);
        let found = gemv_three(&input, &on_gpu, &biases.clone().map(|[bias, _]| bias)).expect("on a GPU");
        for ((found, [_, weight]), [_, bias]) in found.into_iter().zip(weights).zip(biases) {
            let expected = product(plain.clone(), weight) + bias.unsqueeze();
            assert_close(&format!("{rows} rows, {heights:?} x {width}"), found, expected);
        }
    }
}

#[test]
fn a_gate_opens_what_stands_behind_it() {
    for [rows, outputs, width] in SIZES {
        let [input, plain] = both([rows, 1, width], 37);
        let [gate, plain_gate] = both([outputs, width], 38);
        let [up, plain_up] = both([outputs, width], 39);
        let found = gemv_swiglu(&input, &gate, &up).expect("on a GPU");
        let expected = silu(product(plain.clone(), plain_gate)) * product(plain, plain_up);
        assert_close(&format!("{rows} rows, {outputs} x {width}"), found, expected);
    }
}

#[test]
fn many_rows_are_left_to_others() {
    let [input, _] = both([MAX_ROWS + 1, 64], 33);
    let [weight, _] = both([16, 64], 34);
    assert!(gemv(&input, &weight).is_none());
}
