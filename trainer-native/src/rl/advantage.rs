//! How much better an answer was than expected.
//!
//! GRPO <https://arxiv.org/abs/2402.03300>, Dr. GRPO <https://arxiv.org/abs/2503.20783>, pass@k
//! <https://arxiv.org/abs/2508.10751>, RLOO <https://arxiv.org/abs/2402.14740>, REINFORCE++
//! <https://arxiv.org/abs/2501.03262>, ReMax <https://arxiv.org/abs/2310.10505>; spelled as in
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/trainer/core_algos.py>, except that ReMax there
//! multiplies a row of answers with a table of tokens.

use super::tokens::PerToken;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Keeps the division by a group's standard deviation finite.
const EPSILON: f64 = 1e-6;

/// Where the expectation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// The group's mean, divided by its unbiased standard deviation.
    #[default]
    Grpo,
    /// The group's mean.
    DrGrpo,
    /// For the best answer the second best, divided by the standard deviation; the others get nothing.
    PassK,
    /// The mean of the group's other answers.
    Rloo,
    /// Returns to go, brought to zero mean and unit variance over all tokens of the step.
    ReinforcePlusPlus,
    /// The reward of the likeliest answer.
    Remax,
}

impl Estimator {
    /// Whether a group needs at least two answers.
    #[must_use]
    pub fn compares(self) -> bool {
        matches!(self, Self::Grpo | Self::DrGrpo | Self::PassK | Self::Rloo)
    }
}

/// The advantage of every token.
///
/// `rewards` has a number for every token, `groups` the number of every answer's group, `greedy` the
/// reward of the likeliest answer to every answer's prompt ([`Estimator::Remax`] alone reads it).
///
/// # Panics
/// The lists differ in length.
#[must_use]
pub fn advantages(estimator: Estimator, rewards: &[Vec<f32>], groups: &[usize], greedy: &[f64]) -> PerToken {
    assert_eq!(rewards.len(), groups.len(), "every answer belongs to a group");
    if estimator == Estimator::ReinforcePlusPlus {
        return whiten(&rewards.iter().map(|row| returns_to_go(row)).collect::<Vec<_>>());
    }
    let scores: Vec<f64> =
        rewards.iter().map(|row| row.iter().map(|reward| f64::from(*reward)).sum()).collect();
    let of_answers = match estimator {
        Estimator::Remax => {
            assert_eq!(scores.len(), greedy.len(), "every answer has the likeliest one beside it");
            scores.iter().zip(greedy).map(|(score, likeliest)| score - likeliest).collect()
        }
        _ => by_group(estimator, &scores, groups),
    };
    rewards.iter().zip(of_answers).map(|(row, advantage)| vec![advantage as f32; row.len()]).collect()
}

fn by_group(estimator: Estimator, scores: &[f64], groups: &[usize]) -> Vec<f64> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (answer, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(answer);
    }
    let mut advantages = vec![0.0; scores.len()];
    for members in members.values() {
        let count = members.len() as f64;
        let sum: f64 = members.iter().map(|answer| scores[*answer]).sum();
        let mean = sum / count;
        let squares: f64 = members.iter().map(|answer| (scores[*answer] - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0).max(1.0)).sqrt() + EPSILON;
        if estimator == Estimator::PassK {
            let mut ranked = members.clone();
            ranked.sort_by(|left, right| scores[*right].total_cmp(&scores[*left]));
            if let [best, second, ..] = ranked[..] {
                advantages[best] = (scores[best] - scores[second]) / deviation;
            }
            continue;
        }
        for answer in members {
            let score = scores[*answer];
            advantages[*answer] = match estimator {
                Estimator::Grpo => (score - mean) / deviation,
                Estimator::Rloo => score - (sum - score) / (count - 1.0).max(1.0),
                _ => score - mean,
            };
        }
    }
    advantages
}

/// The sum of a token's reward and those after it.
fn returns_to_go(rewards: &[f32]) -> Vec<f64> {
    let mut sum = 0.0;
    let mut returns: Vec<f64> = rewards
        .iter()
        .rev()
        .map(|reward| {
            sum += f64::from(*reward);
            sum
        })
        .collect();
    returns.reverse();
    returns
}

/// Zero mean and unit unbiased variance over all tokens.
fn whiten(rows: &[Vec<f64>]) -> PerToken {
    let all: Vec<f64> = rows.iter().flatten().copied().collect();
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
    let scale = 1.0 / (variance + 1e-8).sqrt();
    rows.iter().map(|row| row.iter().map(|value| ((value - mean) * scale) as f32).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One token an answer.
    fn one_group(estimator: Estimator, scores: &[f32]) -> Vec<f32> {
        let rewards: PerToken = scores.iter().map(|score| vec![*score]).collect();
        advantages(estimator, &rewards, &vec![0; scores.len()], &[]).concat()
    }

    #[track_caller]
    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (found_one, expected_one) in found.iter().zip(expected) {
            assert!((found_one - expected_one).abs() < 3e-6, "{found:?}, expected {expected:?}");
        }
    }

    #[test]
    fn a_group_is_its_own_measure() {
        assert_close(
            &one_group(Estimator::Grpo, &[1.0, 0.0, 0.0, 1.0, 0.0]),
            &[1.095_443, -0.730_295, -0.730_295, 1.095_443, -0.730_295],
        );
        let three_of_ten = one_group(Estimator::Grpo, &[1., 1., 1., 0., 0., 0., 0., 0., 0., 0.]);
        assert_close(&three_of_ten[2..4], &[1.449_135, -0.621_058]);
        let released = one_group(Estimator::Grpo, &[1., 1., 0.1, 0.1, 0.1, 1., 0.1, 0.1, 0., 0.1]);
        assert_close(&[released[0], released[2], released[8]], &[1.445_609, -0.587_279, -0.813_155]);
        assert_close(&one_group(Estimator::Grpo, &[0.9; 4]), &[0.0; 4]);
    }

    #[test]
    fn the_other_estimators_have_their_vectors() {
        let scores = [1.0, 0.0, 0.0, 1.0, 0.0];
        assert_close(&one_group(Estimator::DrGrpo, &scores), &[0.6, -0.4, -0.4, 0.6, -0.4]);
        assert_close(&one_group(Estimator::Rloo, &scores), &[0.75, -0.5, -0.5, 0.75, -0.5]);
        let best = one_group(Estimator::PassK, &[1.0, 0.9, 0.0, 0.1, 0.0]);
        assert_close(&best, &[0.198_029, 0.0, 0.0, 0.0, 0.0]);
        let remax = advantages(Estimator::Remax, &[vec![0.0, 1.0], vec![0.25]], &[0, 0], &[0.5, 0.5]);
        assert_eq!(remax, [vec![0.5, 0.5], vec![-0.25]]);
    }

    #[test]
    fn returns_to_go_are_whitened_over_all_tokens() {
        let found =
            advantages(Estimator::ReinforcePlusPlus, &[vec![0.0, 0.0, 1.0], vec![0.0, 0.0]], &[0, 1], &[]);
        assert_close(&found[0], &[0.730_297; 3]);
        assert_close(&found[1], &[-1.095_445; 2]);
        assert_eq!(returns_to_go(&[1.0, -0.5, 0.25]), [0.75, -0.25, 0.25]);
    }

    #[test]
    fn groups_do_not_see_each_other() {
        let rewards: PerToken = [1.0, 0.0, 1.0, 1.0].map(|score| vec![score]).to_vec();
        let found = advantages(Estimator::Grpo, &rewards, &[7, 7, 3, 3], &[]).concat();
        let half = std::f32::consts::FRAC_1_SQRT_2;
        assert_close(&found, &[half, -half, 0.0, 0.0]);
    }
}
