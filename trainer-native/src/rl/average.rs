//! From a number for every token to one: which answer weighs how much.
//!
//! PAPO and TAPO take the mean of every micro-batch and then the mean of those, so that a token's weight
//! depends on its neighbours; EasyR1 corrected that in <https://github.com/hiyouga/EasyR1/pull/417>.

use serde::{Deserialize, Serialize};

/// What all answers of an update share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Answers.
    pub answers: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Micro-batches that they are computed in.
    pub micro_batches: usize,
}

/// How tokens are averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Every token of an update weighs the same.
    #[default]
    Token,
    /// Every micro-batch weighs the same, and in it every token: as released.
    MicroBatchToken,
    /// Every answer weighs the same, and in it every token.
    Sequence,
    /// Every token weighs one part of the longest answer that is allowed: Dr. GRPO,
    /// <https://arxiv.org/abs/2503.20783>.
    Length,
}

impl Average {
    /// The weight of a token for every answer of a micro-batch, so that the sum over all tokens of all
    /// micro-batches is the mean. `longest` is the most tokens that an answer may have.
    #[must_use]
    pub fn weights(self, lengths: &[usize], totals: Totals, longest: usize) -> Vec<f64> {
        let here: usize = lengths.iter().sum();
        let share = |count: usize| 1.0 / count.max(1) as f64;
        lengths
            .iter()
            .map(|length| match self {
                Self::Token => share(totals.tokens),
                Self::MicroBatchToken => share(here) * share(totals.micro_batches),
                Self::Sequence => share(*length) * share(totals.answers),
                Self::Length => share(longest) * share(totals.answers),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_over_micro_batches_is_the_mean() {
        let micro_batches = [vec![3, 2], vec![1]];
        let totals = Totals { answers: 3, tokens: 6, micro_batches: 2 };
        let weights = |average: Average| -> Vec<f64> {
            micro_batches.iter().flat_map(|lengths| average.weights(lengths, totals, 4)).collect()
        };
        assert_eq!(weights(Average::Token), [1.0 / 6.0; 3]);
        assert_eq!(weights(Average::MicroBatchToken), [0.1, 0.1, 0.5]);
        assert_eq!(weights(Average::Sequence), [1.0 / 9.0, 1.0 / 6.0, 1.0 / 3.0]);
        assert_eq!(weights(Average::Length), [1.0 / 12.0; 3]);
        for average in [Average::Token, Average::MicroBatchToken, Average::Sequence] {
            let ones: f64 = weights(average)
                .iter()
                .zip([3, 2, 1])
                .map(|(weight, length)| weight * f64::from(length))
                .sum();
            assert!((ones - 1.0).abs() < 1e-12, "{average:?}: {ones}");
        }
    }
}
