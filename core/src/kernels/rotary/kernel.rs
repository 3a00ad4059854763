//! Turns, as a device computes them.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// A unit for a vector of a head's first half and the one that it is turned with; `half` counts vectors.
#[cube(launch)]
pub fn rotate<F: Float, N: Size>(
    states: &Tensor<Vector<F, N>>,
    cos: &Tensor<Vector<f32, N>>,
    sin: &Tensor<Vector<f32, N>>,
    output: &mut Tensor<Vector<F, N>>,
    units: u32,
    seq: u32,
    #[comptime] heads: usize,
    #[comptime] half: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < units as usize {
        let lane = ABSOLUTE_POS % half;
        // In the order of the projection: `[batch, seq, heads]`.
        let place = ABSOLUTE_POS / half;
        let (token, head) = (place / heads, place % heads);
        let (row, position) = (token / seq as usize, token % seq as usize);
        let from = place * (2 * half) + lane;
        let to = ((row * heads + head) * seq as usize + position) * (2 * half) + lane;
        let (cos, sin) = (cos[token * half + lane], sin[token * half + lane]);
        turn::<F, N>(states, from, output, to, cos, sin, half);
    }
}

/// A unit for two vectors of a head of queries, keys or values, which lie half a head apart; `half` counts vectors.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers and sizes are its arguments")]
pub fn rotate_and_write<F: Float, N: Size>(
    query: &Tensor<Vector<F, N>>,
    key: &Tensor<Vector<F, N>>,
    value: &Tensor<Vector<F, N>>,
    cos: &Tensor<Vector<f32, N>>,
    sin: &Tensor<Vector<f32, N>>,
    output: &mut Tensor<Vector<F, N>>,
    keys: &mut Tensor<Vector<F, N>>,
    values: &mut Tensor<Vector<F, N>>,
    units: u32,
    seq: u32,
    position: u32,
    capacity: u32,
    #[comptime] heads: usize,
    #[comptime] kv_heads: usize,
    #[comptime] half: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < units as usize {
        let all_heads = comptime!(heads + 2 * kv_heads);
        let lane = ABSOLUTE_POS % half;
        let place = ABSOLUTE_POS / half;
        let (token, head) = (place / all_heads, place % all_heads);
        let (row, step) = (token / seq as usize, token % seq as usize);
        let (cos, sin) = (cos[token * half + lane], sin[token * half + lane]);
        if head < heads {
            let from = (token * heads + head) * (2 * half) + lane;
            let to = ((row * heads + head) * seq as usize + step) * (2 * half) + lane;
            turn::<F, N>(query, from, output, to, cos, sin, half);
        } else if head < comptime!(heads + kv_heads) {
            let head = head - heads;
            let from = (token * kv_heads + head) * (2 * half) + lane;
            let slot = (row * kv_heads + head) * capacity as usize + position as usize + step;
            let to = slot * (2 * half) + lane;
            turn::<F, N>(key, from, keys, to, cos, sin, half);
        } else {
            let head = head - comptime!(heads + kv_heads);
            let from = (token * kv_heads + head) * (2 * half) + lane;
            let slot = (row * kv_heads + head) * capacity as usize + position as usize + step;
            let to = slot * (2 * half) + lane;
            values[to] = value[from];
            values[to + half] = value[from + half];
        }
    }
}

/// Turns two vectors that lie half a head apart, in f32, and rounds once.
#[cube]
fn turn<F: Float, N: Size>(
    states: &Tensor<Vector<F, N>>,
    from: usize,
    output: &mut Tensor<Vector<F, N>>,
    to: usize,
    cos: Vector<f32, N>,
    sin: Vector<f32, N>,
    #[comptime] half: usize,
) {
    let first = Vector::<f32, N>::cast_from(states[from]);
    let second = Vector::<f32, N>::cast_from(states[from + half]);
    output[to] = Vector::cast_from(first * cos - second * sin);
    output[to + half] = Vector::cast_from(second * cos + first * sin);
}
