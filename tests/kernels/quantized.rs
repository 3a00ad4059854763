//! Products of weights in blocks.

use crate::{assert_close, both, gpu, numbers};
use burn::tensor::Device;
use fine_r1_core::kernels::{Bits, BlockQuantized};
use fine_r1_core::model::PackedWeight;

#[test]
fn codes_are_multiplied_as_their_numbers_are() {
    for bits in [Bits::Eight, Bits::Four] {
        for (rows, outputs, width) in [(1, 128, 256), (4, 9, 2048), (8, 33, 32), (1, 1, 96), (20, 16, 64)] {
            let [input, plain] = both([rows, width], 41);
            let weight = numbers(outputs * width, 42);
            let on = |device: &Device| BlockQuantized::new(&weight, [outputs, width], bits, device);
            let found = on(&gpu()).product(input);
            let expected = on(&Device::flex()).product(plain);
            assert_close(&format!("{bits:?}, {rows} rows, {outputs} x {width}"), found, expected);
        }
    }
}

#[test]
fn codes_give_the_same_numbers_everywhere() {
    for bits in [Bits::Eight, Bits::Four] {
        let weight = numbers(4 * 64, 43);
        let [found, expected] = [gpu(), Device::flex()]
            .map(|device| BlockQuantized::new(&weight, [4, 64], bits, &device).numbers());
        assert_close(&format!("{bits:?}"), found, expected);
    }
}
