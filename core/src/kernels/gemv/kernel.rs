//! Products, as a device computes them.

use super::{LINE, LINES};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// `width` counts vectors, here and below.
#[cube(launch)]
pub fn multiply_rows<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    output: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] has_planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let outputs = weight.shape(0);
    let place = CUBE_POS * LINES as usize + UNIT_POS_Y as usize;
    let is_output = place < outputs;
    let own = select(is_output, place, 0usize);
    let mut sums = Array::<Vector<f32, N>>::new(rows);
    multiply_line::<F, N>(input, weight, own * width, &mut sums, rows, width);
    #[unroll]
    for row in 0..rows {
        let sum = sum_of_line::<N>(sums[row], has_planes);
        if UNIT_POS_X == 0 && is_output {
            output[row * outputs + place] = F::cast_from(sum);
        }
    }
}

#[cube(launch)]
pub fn multiply_rows_and_add<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    addend: &Tensor<F>,
    output: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] is_bias: bool,
    #[comptime] has_planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let outputs = weight.shape(0);
    let place = CUBE_POS * LINES as usize + UNIT_POS_Y as usize;
    let is_output = place < outputs;
    let own = select(is_output, place, 0usize);
    let mut sums = Array::<Vector<f32, N>>::new(rows);
    multiply_line::<F, N>(input, weight, own * width, &mut sums, rows, width);
    #[unroll]
    for row in 0..rows {
        let sum = sum_of_line::<N>(sums[row], has_planes);
        if UNIT_POS_X == 0 && is_output {
            let at = row * outputs + place;
            let added = if comptime!(is_bias) { addend[place] } else { addend[at] };
            // Rounded before it is added, as where both are operations of their own.
            output[at] = F::cast_from(sum) + added;
        }
    }
}

#[cube(launch)]
pub fn multiply_rows_and_gate<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    gate: &Tensor<Vector<F, N>>,
    up: &Tensor<Vector<F, N>>,
    output: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] has_planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let outputs = gate.shape(0);
    let place = CUBE_POS * LINES as usize + UNIT_POS_Y as usize;
    let is_output = place < outputs;
    let own = select(is_output, place, 0usize);
    let mut gates = Array::<Vector<f32, N>>::new(rows);
    let mut ups = Array::<Vector<f32, N>>::new(rows);
    multiply_line::<F, N>(input, gate, own * width, &mut gates, rows, width);
    multiply_line::<F, N>(input, up, own * width, &mut ups, rows, width);
    #[unroll]
    for row in 0..rows {
        let gate = sum_of_line::<N>(gates[row], has_planes);
        let up = sum_of_line::<N>(ups[row], has_planes);
        if UNIT_POS_X == 0 && is_output {
            let gate = f32::cast_from(F::cast_from(gate));
            let opened = F::cast_from(gate / (1.0f32 + (-gate).exp()));
            output[row * outputs + place] = opened * F::cast_from(up);
        }
    }
}

#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers are its arguments")]
pub fn multiply_rows_by_three<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    query: &Tensor<Vector<F, N>>,
    key: &Tensor<Vector<F, N>>,
    value: &Tensor<Vector<F, N>>,
    query_bias: &Tensor<F>,
    key_bias: &Tensor<F>,
    value_bias: &Tensor<F>,
    queries: &mut Tensor<F>,
    keys: &mut Tensor<F>,
    values: &mut Tensor<F>,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] has_planes: bool,
    #[define(F)] _dtype: ElemType,
) {
    let lines = LINES as usize;
    let query_cubes = query.shape(0).div_ceil(lines);
    let key_cubes = key.shape(0).div_ceil(lines);
    if CUBE_POS < query_cubes {
        multiply_part::<F, N>(input, query, query_bias, queries, CUBE_POS, rows, width, has_planes);
    } else if CUBE_POS < query_cubes + key_cubes {
        multiply_part::<F, N>(input, key, key_bias, keys, CUBE_POS - query_cubes, rows, width, has_planes);
    } else {
        let cube = CUBE_POS - query_cubes - key_cubes;
        multiply_part::<F, N>(input, value, value_bias, values, cube, rows, width, has_planes);
    }
}

/// One cube's outputs of one of several weights, and their biases.
#[cube]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers are its arguments")]
fn multiply_part<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    bias: &Tensor<F>,
    output: &mut Tensor<F>,
    cube: usize,
    #[comptime] rows: usize,
    #[comptime] width: usize,
    #[comptime] has_planes: bool,
) {
    let outputs = weight.shape(0);
    let place = cube * LINES as usize + UNIT_POS_Y as usize;
    let is_output = place < outputs;
    let own = select(is_output, place, 0usize);
    let mut sums = Array::<Vector<f32, N>>::new(rows);
    multiply_line::<F, N>(input, weight, own * width, &mut sums, rows, width);
    #[unroll]
    for row in 0..rows {
        let sum = sum_of_line::<N>(sums[row], has_planes);
        if UNIT_POS_X == 0 && is_output {
            output[row * outputs + place] = F::cast_from(sum) + bias[place];
        }
    }
}

/// What a unit adds up of a weight's row, which begins at `start`, for every row of the input.
#[cube]
fn multiply_line<F: Float, N: Size>(
    input: &Tensor<Vector<F, N>>,
    weight: &Tensor<Vector<F, N>>,
    start: usize,
    sums: &mut Array<Vector<f32, N>>,
    #[comptime] rows: usize,
    #[comptime] width: usize,
) {
    #[unroll]
    for row in 0..rows {
        sums[row] = Vector::new(0.0f32);
    }
    let mut index = UNIT_POS_X as usize;
    while index < width {
        let factor = Vector::<f32, N>::cast_from(weight[start + index]);
        #[unroll]
        for row in 0..rows {
            sums[row] += factor * Vector::<f32, N>::cast_from(input[row * width + index]);
        }
        index += LINE as usize;
    }
}

/// The sum of what the units of a line have; the first unit gets it.
#[cube]
fn sum_of_line<N: Size>(products: Vector<f32, N>, #[comptime] has_planes: bool) -> f32 {
    let mut own = 0.0f32.runtime();
    #[unroll]
    for lane in 0..N::value() {
        own += products.extract(lane);
    }
    sum_over_line(own, has_planes)
}

/// The sum of a number that every unit of a line has; the first unit gets it. All units of the cube must come here.
#[cube]
pub fn sum_over_line(value: f32, #[comptime] has_planes: bool) -> f32 {
    if comptime!(has_planes) {
        plane_sum(value)
    } else {
        let mut shared = Shared::<[f32]>::new_slice((LINE * LINES) as usize);
        let own = (UNIT_POS_Y * LINE + UNIT_POS_X) as usize;
        shared[own] = value;
        sync_cube();
        let mut width = (LINE / 2).runtime();
        while width > 0 {
            if UNIT_POS_X < width {
                let other = shared[own + width as usize];
                shared[own] += other;
            }
            sync_cube();
            width /= 2;
        }
        let sum = shared[own];
        sync_cube();
        sum
    }
}
