//! RMSNorm, alone and behind a residual.

use crate::{assert_close, both};
use burn::module::Param;
use burn::tensor::Tensor;
use fine_r1_core::kernels::{add_rms_norm, rms_norm};
use fine_r1_core::model::RmsNorm;

/// One row and many, widths of one vector and more, and one that no vector divides.
const SHAPES: [[usize; 3]; 5] = [[1, 1, 128], [2, 3, 2048], [1, 1, 8], [3, 1, 37], [1, 700, 64]];
const EPSILON: f64 = 1e-6;

fn plain_norm<const D: usize>(input: Tensor<D>, weight: Tensor<1>) -> Tensor<D> {
    let [hidden] = weight.dims();
    let mut norm = RmsNorm::new(hidden, EPSILON, &weight.device());
    norm.weight = Param::from_tensor(weight);
    norm.forward(input)
}

#[test]
fn a_norm_equals_the_plain_one() {
    for shape in SHAPES {
        let [input, plain] = both(shape, 1);
        let [weight, plain_weight] = both([shape[2]], 2);
        let found = rms_norm(&input, &weight, EPSILON).expect("on a GPU");
        assert_close(&format!("{shape:?}"), found, plain_norm(plain, plain_weight));
    }
}

#[test]
fn a_sum_and_its_norm_equal_the_plain_ones() {
    for shape in SHAPES {
        let [input, plain] = both(shape, 3);
        let [residual, plain_residual] = both(shape, 4);
        let [weight, plain_weight] = both([shape[2]], 5);
        let (sum, normed) = add_rms_norm(&input, &residual, &weight, EPSILON).expect("on a GPU");
        let plain_sum = plain + plain_residual;
        assert_close(&format!("sum {shape:?}"), sum, plain_sum.clone());
        assert_close(&format!("norm {shape:?}"), normed, plain_norm(plain_sum, plain_weight));
    }
}

#[test]
fn an_input_that_lies_askew_is_read_right() {
    let [input, plain] = both([64, 5], 6);
    let [weight, plain_weight] = both([64], 7);
    let found = rms_norm(&input.transpose(), &weight, EPSILON).expect("on a GPU");
    assert_close("transposed", found, plain_norm(plain.transpose(), plain_weight));
}

#[test]
fn the_processor_has_no_kernel() {
    let [_, plain] = both([1, 8], 8);
    let [_, weight] = both([8], 9);
    assert!(rms_norm(&plain, &weight, EPSILON).is_none());
    assert!(add_rms_norm(&plain, &plain, &weight, EPSILON).is_none());
}
