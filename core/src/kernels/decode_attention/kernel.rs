//! Attention, as a device computes it.

use super::{TILE, max_over_cube, sum_over_cube};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// A cube for a head and a row, a unit for a key of the tile and then for some of the values' numbers. Strides count
/// vectors.
///
/// The weights of a tile are shared; each unit then adds up one vector of every `groups`-th value, and the units' sums
/// are added up once, behind the last tile.
#[cube(launch)]
#[expect(clippy::too_many_arguments, reason = "a kernel's buffers and strides are its arguments")]
pub fn attend_newest<F: Float, I: Int, N: Size>(
    query: &Tensor<Vector<F, N>>,
    key: &Tensor<Vector<F, N>>,
    value: &Tensor<Vector<F, N>>,
    starts: &Tensor<I>,
    output: &mut Tensor<F>,
    keys: u32,
    key_row: u32,
    key_head: u32,
    key_token: u32,
    value_row: u32,
    value_head: u32,
    value_token: u32,
    scale: f32,
    hidden: f32,
    #[comptime] group: usize,
    #[comptime] head_dim: usize,
    #[comptime] vectors: usize,
    #[define(F, I)] _dtypes: [ElemType; 2],
) {
    let groups = comptime!(TILE as usize / vectors);
    let (head, row, unit) = (CUBE_POS_X as usize, CUBE_POS_Y as usize, UNIT_POS_X as usize);
    let kv_head = head / group;
    let start = u32::cast_from(starts[row]);
    let own_query = (row * CUBE_COUNT_X as usize + head) * vectors;
    let own_keys = row * key_row as usize + kv_head * key_head as usize;
    let own_values = row * value_row as usize + kv_head * value_head as usize;
    let (own_group, own_vector) = (unit / vectors, unit % vectors);

    let mut weights = Shared::<[f32]>::new_slice(TILE as usize);
    let mut largest = hidden;
    let mut total = 0.0f32.runtime();
    let mut sum = Vector::<f32, N>::new(0.0f32);
    // Tiles that are padding alone are left out.
    let mut first = start / TILE * TILE;
    while first < keys {
        let token = first + UNIT_POS_X;
        let is_seen = token >= start && token < keys;
        let mut score = hidden;
        if is_seen {
            let at = own_keys + token as usize * key_token as usize;
            let mut products = Vector::<f32, N>::new(0.0f32);
            for index in 0..vectors {
                products += Vector::<f32, N>::cast_from(query[own_query + index])
                    * Vector::<f32, N>::cast_from(key[at + index]);
            }
            let mut product = 0.0f32.runtime();
            #[unroll]
            for lane in 0..N::value() {
                product += products.extract(lane);
            }
            score = product * scale;
        }
        let top = max(largest, max_over_cube(score, TILE));
        let mut weight = 0.0f32.runtime();
        if is_seen {
            weight = (score - top).exp();
        }
        weights[unit] = weight;
        // Meets at a barrier: the weights of all units are there behind it.
        let tile = sum_over_cube(weight, TILE);
        let kept = (largest - top).exp();
        total = total * kept + tile;
        sum *= Vector::new(kept);
        if own_group < groups {
            let end = min(keys - first, TILE) as usize;
            let mut index = own_group;
            while index < end {
                let at = own_values + (first as usize + index) * value_token as usize + own_vector;
                sum += Vector::new(weights[index]) * Vector::<f32, N>::cast_from(value[at]);
                index += groups;
            }
        }
        largest = top;
        // Nobody writes the next tile's weights before all have read these.
        sync_cube();
        first += TILE;
    }
    let mut sums = Shared::<[f32]>::new_slice(comptime!(groups * head_dim));
    if own_group < groups {
        #[unroll]
        for lane in 0..N::value() {
            sums[own_group * head_dim + own_vector * N::value() + lane] = sum.extract(lane);
        }
    }
    sync_cube();
    if unit < head_dim {
        let mut all = 0.0f32.runtime();
        #[unroll]
        for group in 0..groups {
            all += sums[group * head_dim + unit];
        }
        output[(row * CUBE_COUNT_X as usize + head) * head_dim + unit] = F::cast_from(all / total);
    }
}
