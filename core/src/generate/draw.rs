//! Drawing tokens where the scores are: three numbers a row go back to the host, not a score for every token.
//!
//! With the published vocabulary the scores of 80 answers are 49 MB a token, and sorting them takes the host longer
//! than the network takes for all else. Here nothing is sorted: the threshold above which the likeliest tokens reach
//! `top_p` is found by bisection, and the token by the inverse of the distribution's sums, in blocks. Each row brings its
//! own random number from the host, which depends on its seed alone. The sampler on the host ([`super::Sampler`]) goes
//! through tokens by rank and this one by number, so that the same seed gives other draws. Both follow the same
//! distribution, but for tokens of equal score at the edge of `top_p`: here all of them are drawn from, there as many as
//! fit.

use super::SamplingOptions;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData, assert_shape};

/// Tokens whose sums are looked through together; about the root of the published vocabulary.
const BLOCK: usize = 384;
/// Halvings of the interval of logarithms in which the threshold lies: 2⁻²⁶ of it are 6e-7,
/// about what f32 tells apart at the edge of a usual `top_p`.
const HALVINGS: usize = 26;
/// Where that interval begins, below the logarithm of the likeliest weight: nothing that a device adds up is less likely.
const LEAST_LOG: f64 = -40.0;
/// What hides a token.
const HIDDEN: f32 = -1e30;

/// Whether a device can draw by these options; penalties need to know what was seen, and other cuts are rare.
#[must_use]
pub fn can_draw(options: &SamplingOptions) -> bool {
    let SamplingOptions { temperature, top_k, min_p, repetition_penalty, .. } = *options;
    temperature > 0.0 && top_k == 0 && min_p == 0.0 && repetition_penalty == 1.0
}

/// What was drawn.
#[derive(Debug)]
pub struct Drawn {
    /// Tokens: `[rows, 1]`
    pub ids: Tensor<2, Int>,
    /// Logarithms of their probabilities at the temperature, before anything is cut off or banned: `[rows, 1]`
    pub log_probs: Tensor<2>,
    /// How many of a row's scores are no numbers: `[rows, 1]`
    pub odd: Tensor<2, Int>,
}

/// Draws a token for every row; `uniforms` has a random number from 0 to below 1 for each.
///
/// # Shapes
/// - scores: `[rows, vocab]`, f32
///
/// # Panics
/// There is not one random number a row, or a banned id is beyond the vocabulary.
#[must_use]
pub fn draw(scores: Tensor<2>, options: &SamplingOptions, banned: &[u32], uniforms: &[f32]) -> Drawn {
    let [rows, vocab] = scores.dims();
    assert_shape!(scores, [rows, vocab]);
    assert_eq!(uniforms.len(), rows, "a random number for every row");
    let device = scores.device();
    let odd = scores.clone().is_nan().int().sum_dim(1);
    let log_probs = log_softmax(scores / options.temperature, 1);
    let allowed = match banned {
        [] => log_probs.clone(),
        ids => {
            let mut bias = vec![0.0; vocab];
            ids.iter().for_each(|id| bias[*id as usize] = HIDDEN);
            log_probs.clone() + Tensor::<2>::from_data(TensorData::new(bias, [1, vocab]), &device)
        }
    };
    let allowed = allowed.clone() - allowed.max_dim(1);
    let weights = keep_nucleus(allowed, options.top_p);
    let uniforms = Tensor::<2>::from_data(TensorData::new(uniforms.to_vec(), [rows, 1]), &device);
    let ids = invert(weights, uniforms);
    let log_probs = log_probs.gather(1, ids.clone());
    Drawn { ids, log_probs, odd }
}

/// Weights of the likeliest tokens, which reach `top_p` of their sum, from logarithms whose largest is 0; of others 0.
fn keep_nucleus(logs: Tensor<2>, top_p: f64) -> Tensor<2> {
    let weights = logs.clone().exp();
    if top_p >= 1.0 {
        return weights;
    }
    let wanted = weights.clone().sum_dim(1) * top_p;
    // Tokens above `low` reach the sum, those above `high` do not.
    let mut low = wanted.full_like(LEAST_LOG);
    let mut high = wanted.full_like(0.0);
    for _ in 0..HALVINGS {
        let middle = (low.clone() + high.clone()) * 0.5;
        let mass = above(&weights, &logs, &middle).sum_dim(1);
        let reaches = mass.greater_equal(wanted.clone());
        low = low.mask_where(reaches.clone(), middle.clone());
        high = middle.mask_where(reaches, high);
    }
    above(&weights, &logs, &low)
}

/// The weights whose logarithm is at least `least`, `[rows, 1]`; of others 0.
fn above(weights: &Tensor<2>, logs: &Tensor<2>, least: &Tensor<2>) -> Tensor<2> {
    weights.clone().mask_fill(logs.clone().lower(least.clone()), 0.0)
}

/// The first token of each row up to which the weights exceed the row's share of their sum.
///
/// # Shapes
/// - weights: `[rows, vocab]`
/// - shares and output: `[rows, 1]`
fn invert(weights: Tensor<2>, shares: Tensor<2>) -> Tensor<2, Int> {
    let [rows, vocab] = weights.dims();
    let blocks = vocab.div_ceil(BLOCK);
    let filled = blocks * BLOCK;
    let weights = match filled - vocab {
        0 => weights,
        missing => {
            let zeros = Tensor::zeros([rows, missing], (&weights.device(), weights.dtype()));
            Tensor::cat(vec![weights, zeros], 1)
        }
    };
    let weights = weights.reshape([rows, blocks, BLOCK]);
    let sums = weights.clone().sum_dim(2).reshape([rows, blocks]);
    let target = sums.clone().sum_dim(1) * shares;
    let (block, before) = find(sums, target.clone());
    let index = block.clone().reshape([rows, 1, 1]).repeat_dim(2, BLOCK);
    let inside = weights.gather(1, index).reshape([rows, BLOCK]);
    let (place, _) = find(inside, target - before);
    (block * BLOCK as i32 + place).clamp(0, vocab as i32 - 1)
}

/// The first place of each row up to which the numbers exceed the target, and the sum before it. Where rounding has left
/// no such place, the last that holds anything.
///
/// # Shapes
/// - numbers: `[rows, width]`
/// - target and outputs: `[rows, 1]`
fn find(numbers: Tensor<2>, target: Tensor<2>) -> (Tensor<2, Int>, Tensor<2>) {
    let [rows, width] = numbers.dims();
    // burn's sums along an axis are slow on GPUs; a triangle of ones takes one pass.
    let until: Tensor<3> = triangle(width, &numbers).unsqueeze();
    let line: Tensor<3> = numbers.clone().reshape([rows, 1, width]);
    let sums = (line * until).sum_dim(2).reshape([rows, width]);
    let holds = numbers.clone().greater_elem(0.0);
    let places = Tensor::<1, Int>::arange(0..width as i64, &numbers.device()).reshape([1, width]);
    let places = places.repeat_dim(0, rows);
    let last = places.clone().mask_fill(holds.clone().bool_not(), 0).max_dim(1);
    let reached = sums.clone().greater(target).bool_and(holds);
    let first = places.mask_fill(reached.bool_not(), width as i32).min_dim(1);
    let place = first.clone().mask_where(first.equal_elem(width as i32), last);
    let before = sums.gather(1, place.clone()) - numbers.gather(1, place.clone());
    (place, before)
}

/// Ones up to the diagonal: `[width, width]`.
fn triangle(width: usize, like: &Tensor<2>) -> Tensor<2> {
    Tensor::ones([width, width], (&like.device(), like.dtype())).tril(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn options(top_p: f64) -> SamplingOptions {
        SamplingOptions { temperature: 1.0, top_p, ..SamplingOptions::default() }
    }

    /// Draws once for every uniform from the same scores.
    fn drawn(
        scores: &[f32],
        options: &SamplingOptions,
        banned: &[u32],
        uniforms: &[f32],
    ) -> (Vec<u32>, Vec<f32>) {
        let device = Device::flex();
        let row = Tensor::<2>::from_data(TensorData::new(scores.to_vec(), [1, scores.len()]), &device);
        let Drawn { ids, log_probs, odd } =
            draw(row.repeat_dim(0, uniforms.len()), options, banned, uniforms);
        assert!(odd.into_data().iter::<i64>().all(|count| count == 0));
        let ids = ids.into_data().iter::<i64>().map(|id| id as u32).collect();
        (ids, log_probs.into_data().iter::<f32>().collect())
    }

    #[test]
    fn a_share_of_the_sum_gives_the_token_that_holds_it() {
        let scores = [0.5_f32, 0.2, 0.3].map(f32::ln);
        let (ids, log_probs) = drawn(&scores, &options(1.0), &[], &[0.0, 0.49, 0.51, 0.69, 0.71, 0.999_999]);
        assert_eq!(ids, [0, 0, 1, 1, 2, 2]);
        for (id, log_prob) in ids.iter().zip(log_probs) {
            assert!((log_prob - scores[*id as usize]).abs() < 1e-6);
        }
    }

    #[test]
    fn every_token_of_a_large_vocabulary_is_reached_at_its_share() {
        // Three blocks, the last not full; every token weighs the same.
        let vocab = 2 * BLOCK + 100;
        let uniforms: Vec<f32> = (0..vocab).map(|token| (token as f32 + 0.5) / vocab as f32).collect();
        let (ids, _) = drawn(&vec![0.25; vocab], &options(1.0), &[], &uniforms);
        assert_eq!(ids, (0..vocab as u32).collect::<Vec<u32>>());
    }

    #[test]
    fn the_tail_is_cut_as_on_the_host() {
        let scores = [0.05_f32, 0.5, 0.15, 0.3].map(f32::ln);
        let uniforms: Vec<f32> = (0..100).map(|number| number as f32 / 100.0).collect();
        let kept = |top_p: f64| {
            let mut ids = drawn(&scores, &options(top_p), &[], &uniforms).0;
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        assert_eq!(kept(0.81), [1, 2, 3]);
        assert_eq!(kept(0.79), [1, 3]);
        assert_eq!(kept(0.01), [1]);
        assert_eq!(kept(0.99), [0, 1, 2, 3]);
    }

    #[test]
    fn what_is_banned_is_not_drawn_and_keeps_its_share_of_the_probability() {
        let scores = [0.6_f32, 0.3, 0.1].map(f32::ln);
        let (ids, log_probs) = drawn(&scores, &options(1.0), &[0], &[0.0, 0.74, 0.76]);
        assert_eq!(ids, [1, 1, 2]);
        assert!((log_probs[0] - scores[1]).abs() < 1e-6, "as if nothing were banned: {log_probs:?}");
    }

    #[test]
    fn temperature_sharpens_and_nonsense_is_counted() {
        let scores = [0.6_f32, 0.4].map(f32::ln);
        let cold = SamplingOptions { temperature: 0.5, ..options(1.0) };
        // 0.36 and 0.16 of 0.52.
        let (ids, _) = drawn(&scores, &cold, &[], &[0.68, 0.70]);
        assert_eq!(ids, [0, 1]);
        let device = Device::flex();
        let odd = draw(Tensor::from_floats([[f32::NAN, 0.0]], &device), &cold, &[], &[0.5]).odd;
        assert_eq!(odd.into_data().iter::<i64>().next(), Some(1));
        assert!(can_draw(&cold) && !can_draw(&SamplingOptions::default()));
    }
}
