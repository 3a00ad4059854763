//! How far a mean over images can be trusted: percentiles of means over images drawn with replacement.
//!
//! The percentile bootstrap: Efron & Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Draws of a whole set of images.
const RESAMPLES: usize = 1000;

/// A mean and the middle 95 % of what it would have been on other images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub value: f64,
    /// 2.5 % of draws lie below.
    pub low: f64,
    /// 2.5 % of draws lie above.
    pub high: f64,
    /// Images.
    pub count: usize,
}

/// A mean and its draws, ready to be averaged with others'.
#[derive(Debug, Clone)]
pub struct Resampled {
    mean: f64,
    means: Vec<f64>,
    count: usize,
}

impl Resampled {
    /// Draws from one value an image; `None` without images.
    #[must_use]
    pub fn new(values: &[f64], seed: u64) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let count = values.len();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let means = (0..RESAMPLES)
            .map(|_| {
                let sum: f64 = (0..count)
                    .map(|_| values[((u64::from(random.next_u32()) * count as u64) >> 32) as usize])
                    .sum();
                sum / count as f64
            })
            .collect();
        Some(Self { mean: values.iter().sum::<f64>() / count as f64, means, count })
    }

    /// The mean of some means, each with the same weight, as the paper's tables average data sets; every
    /// set's images are drawn for themselves. `None` without sets.
    #[must_use]
    pub fn average(parts: &[&Self]) -> Option<Self> {
        let share = 1.0 / parts.len() as f64;
        let sum = |of: &dyn Fn(&Self) -> f64| parts.iter().map(|part| of(part) * share).sum::<f64>();
        (!parts.is_empty()).then(|| Self {
            mean: sum(&|part| part.mean),
            means: (0..RESAMPLES).map(|draw| sum(&|part| part.means[draw])).collect(),
            count: parts.iter().map(|part| part.count).sum(),
        })
    }

    /// The mean with its interval.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let mut means = self.means.clone();
        means.sort_by(f64::total_cmp);
        let tail = RESAMPLES / 40;
        Estimate { value: self.mean, low: means[tail], high: means[RESAMPLES - 1 - tail], count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_as_wide_as_the_binomial_has_it() {
        let values: Vec<f64> = (0..400).map(|index| f64::from(u8::from(index % 4 == 0))).collect();
        let estimate = Resampled::new(&values, 1).expect("images").estimate();
        assert_eq!((estimate.value, estimate.count), (0.25, 400));
        // 1.96 standard errors of a quarter of 400.
        let half = 1.96 * (0.25_f64 * 0.75 / 400.0).sqrt();
        assert!((estimate.high - 0.25 - half).abs() < 0.01 && (0.25 - half - estimate.low).abs() < 0.01);
        assert_eq!(Resampled::new(&values, 1).expect("images").estimate(), estimate);
    }

    #[test]
    fn averages_weigh_sets_and_not_images() {
        let few = Resampled::new(&[1.0; 10], 1).expect("images");
        let many = Resampled::new(&[0.0; 90], 2).expect("images");
        let both = Resampled::average(&[&few, &many]).expect("sets").estimate();
        assert_eq!((both.value, both.low, both.high, both.count), (0.5, 0.5, 0.5, 100));
        assert!(Resampled::average(&[]).is_none() && Resampled::new(&[], 1).is_none());
    }
}
