//! Chooses the next token from its scores.
//!
//! Order and rules are those of transformers' logits processors:
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/generation/logits_process.py>.
//! Repetition penalty: <https://arxiv.org/abs/1909.05858>, nucleus (top-p) sampling:
//! <https://arxiv.org/abs/1904.09751>, min-p: <https://arxiv.org/abs/2407.01082>.

use crate::config::GenerationConfig;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How tokens are chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingOptions {
    /// Divides the scores; 0 takes the likeliest token.
    pub temperature: f64,
    /// Keep the `k` likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the likeliest tokens whose probabilities reach this sum; 1 keeps all.
    pub top_p: f64,
    /// Keep tokens with at least this share of the likeliest one's probability; 0 keeps all.
    pub min_p: f64,
    /// Makes tokens of the prompt and of the answer so far less likely; 1 changes nothing.
    pub repetition_penalty: f64,
    /// Makes a run repeatable.
    pub seed: u64,
}

impl Default for SamplingOptions {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl SamplingOptions {
    /// What a checkpoint asks for.
    #[must_use]
    pub fn from_checkpoint(config: &GenerationConfig) -> Self {
        Self {
            temperature: if config.do_sample { config.temperature } else { 0.0 },
            top_k: config.top_k,
            top_p: config.top_p,
            min_p: config.min_p,
            repetition_penalty: config.repetition_penalty,
            seed: 0,
        }
    }

    /// Whether the likeliest token is taken as it comes from the model.
    #[must_use]
    pub fn is_plain_argmax(&self) -> bool {
        self.temperature == 0.0 && self.repetition_penalty == 1.0
    }
}

/// The choice for one sequence: what it has seen, and its own random numbers.
#[derive(Debug, Clone)]
pub struct Sampler {
    seen: Vec<bool>,
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler for row `row` of a run; rows draw from streams of their own.
    #[must_use]
    pub fn new(seed: u64, row: u64, prompt: &[u32], vocab: usize) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(row);
        let mut sampler = Self { seen: vec![false; vocab], random };
        for id in prompt {
            sampler.note(*id);
        }
        sampler
    }

    /// Takes note of a token of the sequence.
    pub fn note(&mut self, id: u32) {
        if let Some(seen) = self.seen.get_mut(id as usize) {
            *seen = true;
        }
    }

    /// The row's next random number, from 0 to below 1, for who draws elsewhere.
    pub(super) fn uniform(&mut self) -> f32 {
        // 24 random bits are what f32 holds.
        (self.random.next_u64() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// Chooses a token from its scores (`[vocab]`).
    pub fn choose(&mut self, logits: &mut [f32], options: &SamplingOptions) -> u32 {
        if options.repetition_penalty != 1.0 {
            let penalty = options.repetition_penalty as f32;
            for (logit, _) in logits.iter_mut().zip(&self.seen).filter(|(_, seen)| **seen) {
                *logit = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
            }
        }
        let id = if options.temperature == 0.0 { argmax(logits) } else { self.draw(logits, options) };
        self.note(id);
        id
    }

    fn draw(&mut self, logits: &[f32], options: &SamplingOptions) -> u32 {
        let mut ranked: Vec<(u32, f64)> = logits
            .iter()
            .enumerate()
            .filter(|(_, logit)| !logit.is_nan())
            .map(|(id, logit)| (id as u32, f64::from(*logit) / options.temperature))
            .collect();
        let by_score =
            |left: &(u32, f64), right: &(u32, f64)| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0));
        if options.top_k > 0 && options.top_k < ranked.len() {
            ranked.select_nth_unstable_by(options.top_k - 1, by_score);
            ranked.truncate(options.top_k);
        }
        ranked.sort_unstable_by(by_score);
        let Some(&(likeliest, best)) = ranked.first() else { return 0 };
        let mut weights: Vec<f64> = ranked.iter().map(|(_, score)| (score - best).exp()).collect();
        let total: f64 = weights.iter().sum();
        if options.top_p < 1.0 {
            let mut sum = 0.0;
            let kept = weights.iter().take_while(|weight| {
                let reached = sum >= options.top_p * total;
                sum += **weight;
                !reached
            });
            let kept = kept.count().max(1);
            weights.truncate(kept);
        }
        if options.min_p > 0.0 {
            let kept = weights.iter().take_while(|weight| **weight >= options.min_p).count().max(1);
            weights.truncate(kept);
        }
        let total: f64 = weights.iter().sum();
        // 53 random bits make a double from 0 to just below 1.
        let mut left = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 * total;
        for (weight, (id, _)) in weights.iter().zip(&ranked) {
            left -= weight;
            if left < 0.0 {
                return *id;
            }
        }
        ranked.get(weights.len() - 1).map_or(likeliest, |(id, _)| *id)
    }
}

/// The first of the largest scores.
fn argmax(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, logit) in logits.iter().enumerate() {
        if *logit > best.1 {
            best = (id as u32, *logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(logits: &[f32], options: &SamplingOptions) -> Vec<usize> {
        let mut sampler = Sampler::new(7, 0, &[], logits.len());
        let mut counts = vec![0; logits.len()];
        for _ in 0..4000 {
            counts[sampler.choose(&mut logits.to_vec(), options) as usize] += 1;
        }
        counts
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest() {
        let mut sampler = Sampler::new(0, 0, &[], 4);
        assert_eq!(sampler.choose(&mut [0.0, 2.0, 2.0, 1.0], &SamplingOptions::default()), 1);
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
        let counts = counts(&logits, &SamplingOptions { temperature: 1.0, ..SamplingOptions::default() });
        for (count, share) in counts.iter().zip([0.5, 0.3, 0.2]) {
            // Four standard deviations of a binomial count.
            let tolerance = 4.0 * (4000.0_f64 * share * (1.0 - share)).sqrt();
            assert!((*count as f64 - 4000.0 * share).abs() < tolerance, "{counts:?}");
        }
    }

    #[test]
    fn top_k_top_p_and_min_p_cut_the_tail() {
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.15_f32.ln(), 0.05_f32.ln()];
        let sampled = SamplingOptions { temperature: 1.0, ..SamplingOptions::default() };
        let kept =
            |options: SamplingOptions| counts(&logits, &options).iter().filter(|count| **count > 0).count();
        assert_eq!(kept(SamplingOptions { top_k: 2, ..sampled.clone() }), 2);
        assert_eq!(kept(SamplingOptions { top_p: 0.81, ..sampled.clone() }), 3);
        assert_eq!(kept(SamplingOptions { top_p: 0.01, ..sampled.clone() }), 1);
        assert_eq!(kept(SamplingOptions { min_p: 0.2, ..sampled.clone() }), 3);
        assert_eq!(kept(sampled), 4);
    }

    #[test]
    fn penalty_lowers_what_was_seen_on_either_side_of_zero() {
        let options = SamplingOptions { repetition_penalty: 2.0, ..SamplingOptions::default() };
        let mut sampler = Sampler::new(0, 0, &[0], 2);
        assert_eq!(sampler.choose(&mut [3.0, 2.0], &options), 1);
        let mut sampler = Sampler::new(0, 0, &[0], 2);
        assert_eq!(sampler.choose(&mut [-1.0, -1.5], &options), 1);
    }
}
