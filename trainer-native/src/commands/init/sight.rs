//! A head start for a vision tower that will be trained from nothing on little data.
//!
//! Random patch filters see brightness and hardly anything else, and random attention looks everywhere
//! alike; both are unlearnt slowly. Here filters begin as a cosine basis with about equal output for
//! natural pictures (whitening, <https://arxiv.org/abs/2404.00498> section 3.2), and most heads begin
//! by looking at a neighbour (<https://arxiv.org/abs/2103.10697>), by means of the rotary embedding
//! and the biases of query and key alone. Everything stays trainable.

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use fine_r1_core::config::{ModelConfig, VisionConfig};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::model::rotary::inverse_frequencies;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::PI;

/// Standard deviation of a filter's output.
const FILTER_GAIN: f64 = 0.5;
/// How much faster the amplitude of colour falls off with frequency than that of brightness.
const COLOUR_PENALTY: f64 = 6.0;
/// Brightness and two opponent colours, orthogonal over red, green and blue.
const COLOUR_AXES: [[f64; 3]; 3] = [[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]];
/// Length of the part of a query that is the same at every patch, one entry for every low frequency.
const POSITION_LENGTH: f32 = 4.0;
/// Rotary frequencies of either axis that say where a patch lies.
const POSITION_FREQUENCIES: usize = 3;
/// Farthest neighbour that a head begins with, in patches.
const REACH: i32 = 2;

/// Gives fresh weights the head start.
#[must_use]
pub fn with_head_start(
    mut model: VisionLanguageModel,
    config: &ModelConfig,
    seed: u64,
) -> VisionLanguageModel {
    let vision = &config.vision;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let kernel = &mut model.visual.patch_embed.proj.weight;
    let shape = [
        vision.hidden_size,
        vision.in_chans,
        vision.temporal_patch_size,
        vision.patch_size,
        vision.patch_size,
    ];
    let device = kernel.val().device();
    if vision.in_chans == COLOUR_AXES.len() {
        *kernel = Param::from_tensor(Tensor::from_data(TensorData::new(filters(vision), shape), &device));
    }
    let heads = vision.num_heads;
    model.visual.blocks = model
        .visual
        .blocks
        .into_iter()
        .map(|mut block| {
            let offsets: Vec<Option<[i32; 2]>> = (0..heads)
                // The last head of a block looks everywhere.
                .map(|head| (head + 1 < heads).then(|| [(); 2].map(|()| random.random_range(-REACH..=REACH))))
                .collect();
            let bias = position_bias(vision, &offsets);
            let length = bias.len();
            block.attn.qkv.bias =
                Some(Param::from_tensor(Tensor::from_data(TensorData::new(bias, [length]), &device)));
            block
        })
        .collect();
    model
}

/// The cosine basis, lowest frequencies first: `[hidden, channels, frames, patch_size, patch_size]`.
fn filters(vision: &VisionConfig) -> Vec<f32> {
    let side = vision.patch_size;
    let mut basis: Vec<(f64, usize, [usize; 2])> = (0..COLOUR_AXES.len())
        .flat_map(|axis| (0..side * side).map(move |index| (axis, [index / side, index % side])))
        .map(|(axis, frequency)| (expected_deviation(axis, frequency, side), axis, frequency))
        .collect();
    basis.sort_by(|one, other| other.0.total_cmp(&one.0));
    let wave = |frequency: usize, place: usize| {
        let norm = if frequency == 0 { 1.0 } else { 2.0 };
        (norm / side as f64).sqrt()
            * (PI * frequency as f64 * (2 * place + 1) as f64 / (2 * side) as f64).cos()
    };
    let frames = vision.temporal_patch_size;
    let mut values = Vec::with_capacity(vision.hidden_size * vision.patch_dim());
    for index in 0..vision.hidden_size {
        let (deviation, axis, [down, across]) = basis[index % basis.len()];
        let colour = COLOUR_AXES[axis];
        let length = colour.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
        let gain = FILTER_GAIN / deviation / frames as f64 / length;
        for weight in colour {
            for _ in 0..frames {
                for row in 0..side {
                    values.extend(
                        (0..side)
                            .map(|column| (gain * weight * wave(down, row) * wave(across, column)) as f32),
                    );
                }
            }
        }
    }
    values
}

/// What natural pictures, normalised, give at a frequency: the amplitude falls off as its inverse.
fn expected_deviation(axis: usize, [down, across]: [usize; 2], side: usize) -> f64 {
    let radius = ((down * down + across * across) as f64).sqrt();
    let brightness = 3.0_f64.sqrt() * side as f64 / (1.0 + 4.0 * radius);
    if axis == 0 { brightness } else { brightness / COLOUR_PENALTY }
}

/// Biases of query, key and value, `[3 × hidden]`: head `h` prefers the patch at `offsets[h]`
/// (rows, columns), or none.
fn position_bias(vision: &VisionConfig, offsets: &[Option<[i32; 2]>]) -> Vec<f32> {
    let (hidden, head_dim) = (vision.hidden_size, vision.head_dim());
    let frequencies = inverse_frequencies(head_dim / 2, 10_000.0);
    let (half, per_axis) = (head_dim / 2, head_dim / 4);
    let mut bias = vec![0.0; 3 * hidden];
    for (head, offset) in offsets.iter().enumerate() {
        let Some(offset) = offset else { continue };
        for (axis, steps) in offset.iter().enumerate() {
            for (index, frequency) in frequencies.iter().enumerate().take(POSITION_FREQUENCIES.min(per_axis))
            {
                let place = head * head_dim + axis * per_axis + index;
                let angle = *steps as f32 * frequency;
                bias[place] = POSITION_LENGTH;
                bias[hidden + place] = POSITION_LENGTH * angle.cos();
                bias[hidden + place + half] = -POSITION_LENGTH * angle.sin();
            }
        }
    }
    bias
}
