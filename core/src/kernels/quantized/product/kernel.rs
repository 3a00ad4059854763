//! Products of codes, as a device computes them.

use super::BLOCK;
use crate::kernels::gemv::{LINE, LINES, sum_over_line};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// A unit takes a word of codes at a time.
#[cube(launch)]
pub fn multiply_codes<F: Float>(
    input: &Tensor<F>,
    codes: &Tensor<u32>,
    scales: &Tensor<f32>,
    output: &mut Tensor<F>,
    outputs: u32,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] bits: usize,
    #[comptime] has_planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let per_word = comptime!(32 / bits);
    let words = comptime!(width / (32 / bits));
    let place = CUBE_POS * LINES as usize + UNIT_POS_Y as usize;
    let is_output = place < outputs as usize;
    let own = select(is_output, place, 0usize);
    let mut sums = Array::<f32>::new(rows);
    #[unroll]
    for row in 0..rows {
        sums[row] = 0.0f32;
    }
    let mut word = UNIT_POS_X as usize;
    while word < words {
        let packed = codes[own * words + word];
        let first = word * per_word;
        let scale = scales[own * comptime!(width / BLOCK) + first / BLOCK];
        #[unroll]
        for code in 0..per_word {
            let shift = comptime!((code * bits) as u32);
            let mask = comptime!((1u32 << bits) - 1);
            let offset = comptime!((1u32 << (bits - 1)) as f32);
            let number = (f32::cast_from((packed >> shift) & mask) - offset) * scale;
            #[unroll]
            for row in 0..rows {
                sums[row] += number * f32::cast_from(input[row * width + first + code]);
            }
        }
        word += LINE as usize;
    }
    #[unroll]
    for row in 0..rows {
        let sum = sum_over_line(sums[row], has_planes);
        if UNIT_POS_X == 0 && is_output {
            output[row * outputs as usize + place] = F::cast_from(sum);
        }
    }
}
