//! Norms, as a device computes them.

use super::{UNITS, sum_over_cube};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// A cube a row of `hidden` numbers in `width` vectors.
#[cube(launch)]
pub fn norm_rows<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    output: &mut Tensor<Vector<F, N>>,
    rows: u32,
    epsilon: f32,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    // Cubes beyond the last row follow it, as all units must meet at a barrier, and write nothing.
    let is_row = row < rows as usize;
    let start = select(is_row, row, 0usize) * width;
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut index = UNIT_POS_X as usize;
    while index < width {
        let value = Vector::<f32, N>::cast_from(input[start + index]);
        squares += value * value;
        index += UNITS as usize;
    }
    let scale = scale_of::<N>(squares, epsilon, hidden);
    let mut index = UNIT_POS_X as usize;
    while index < width && is_row {
        let value = Vector::<f32, N>::cast_from(input[start + index]);
        let normed = Vector::<F, N>::cast_from(value * Vector::new(scale));
        output[start + index] = normed * weight[index];
        index += UNITS as usize;
    }
}

/// The same for the sum of two inputs, which is written as well.
#[cube(launch)]
pub fn add_and_norm_rows<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    residual: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    sum: &mut Tensor<Vector<F, N>>,
    output: &mut Tensor<Vector<F, N>>,
    rows: u32,
    epsilon: f32,
    #[comptime] width: usize,
    #[comptime] hidden: usize,
    #[define(F)] _dtype: ElemType,
) {
    let row = CUBE_POS;
    let is_row = row < rows as usize;
    let start = select(is_row, row, 0usize) * width;
    let mut squares = Vector::<f32, N>::new(0.0f32);
    let mut index = UNIT_POS_X as usize;
    while index < width {
        let value = Vector::<f32, N>::cast_from(input[start + index] + residual[start + index]);
        squares += value * value;
        index += UNITS as usize;
    }
    let scale = scale_of::<N>(squares, epsilon, hidden);
    let mut index = UNIT_POS_X as usize;
    while index < width && is_row {
        let added = input[start + index] + residual[start + index];
        sum[start + index] = added;
        let normed = Vector::<F, N>::cast_from(Vector::<f32, N>::cast_from(added) * Vector::new(scale));
        output[start + index] = normed * weight[index];
        index += UNITS as usize;
    }
}

/// `1 / sqrt(mean + ε)` of squares that the units of a cube have.
#[cube]
fn scale_of<N: Size>(squares: Vector<f32, N>, epsilon: f32, #[comptime] hidden: usize) -> f32 {
    let mut own = 0.0f32.runtime();
    #[unroll]
    for lane in 0..N::value() {
        own += squares.extract(lane);
    }
    let mean = sum_over_cube(own, UNITS) / comptime!(hidden as f32);
    1.0f32 / (mean + epsilon).sqrt()
}
