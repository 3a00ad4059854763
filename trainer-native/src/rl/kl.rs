//! The distance to a reference model, estimated from sampled tokens.
//!
//! Estimators: <http://joschu.net/blog/kl-approx.html>, as `compute_kl` has them in
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/trainer/core_algos.py>. The adaptive coefficient:
//! <https://arxiv.org/abs/1909.08593>, section 2.2.

use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// Bounds of a difference of log-probabilities before it is exponentiated.
pub const LARGEST_DIFFERENCE: f32 = 20.0;
/// Bounds of the released `k3`.
pub const LARGEST_K3: f32 = 10.0;

/// An estimator of `KL[policy ‖ reference]` from tokens of the policy, with `d = log p - log p_ref`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `d`
    K1,
    /// `d² / 2`
    K2,
    /// `exp(-d) + d - 1`, both steps clamped
    #[default]
    K3,
    /// `|d|`
    Abs,
}

/// Where the distance is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlPlace {
    /// Added to the loss.
    #[default]
    Loss,
    /// Taken from every token's reward.
    Reward,
}

/// The `[kl]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KlSettings {
    /// Weight of the distance; 0 leaves the reference model out.
    pub coefficient: f64,
    /// How it is estimated.
    pub estimator: KlEstimator,
    /// Where it is charged.
    pub place: KlPlace,
    /// Distance that an adaptive coefficient steers for; 0 keeps the coefficient fixed.
    pub target: f64,
    /// Sequences in which an adaptive coefficient changes by a fifth at most.
    pub horizon: f64,
}

impl Default for KlSettings {
    fn default() -> Self {
        Self {
            coefficient: 0.0,
            estimator: KlEstimator::K3,
            place: KlPlace::Loss,
            target: 0.0,
            horizon: 10_000.0,
        }
    }
}

/// Every token's share of the distance.
///
/// # Shapes
/// - `log_prob`, `reference`, output: `[rollouts, tokens]`
#[must_use]
pub fn distance(estimator: KlEstimator, log_prob: Tensor<2>, reference: Tensor<2>) -> Tensor<2> {
    let [rollouts, tokens] = log_prob.dims();
    assert_shape!(reference, [rollouts, tokens]);
    match estimator {
        KlEstimator::K1 => log_prob - reference,
        KlEstimator::K2 => (log_prob - reference).square() * 0.5,
        KlEstimator::K3 => k3(reference - log_prob).clamp(-LARGEST_K3, LARGEST_K3),
        KlEstimator::Abs => (log_prob - reference).abs(),
    }
}

/// `exp(δ) - δ - 1` of a bounded `δ`: never negative, 0 where both agree.
#[must_use]
pub fn k3(difference: Tensor<2>) -> Tensor<2> {
    let difference = difference.clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE);
    difference.clone().exp() - difference - 1.0
}

/// The next coefficient, once `sequences` answers were at `distance` from the reference on average.
#[must_use]
pub fn next_coefficient(coefficient: f64, settings: &KlSettings, distance: f64, sequences: usize) -> f64 {
    if settings.target <= 0.0 {
        return coefficient;
    }
    let error = (distance / settings.target - 1.0).clamp(-0.2, 0.2);
    coefficient * (1.0 + error * sequences as f64 / settings.horizon)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::rl::tokens::padded;

    fn one_row(values: &[f32]) -> Tensor<2> {
        padded(&[values.to_vec()], &device::storage().expect("a processor").device)
    }

    fn read(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    #[test]
    fn k3_has_its_vectors_and_its_clamp() {
        // Above 2.611 and below -11 the released clamp holds the value at 10.
        for (difference, expected) in [
            (-11.5, 10.0),
            (-5.0, 4.006_74),
            (-1.0, 0.367_879),
            (-0.5, 0.106_531),
            (0.0, 0.0),
            (0.5, 0.148_721),
            (1.0, 0.718_282),
            (2.0, 4.389_06),
            (2.61, 9.989_05),
            (2.7, 10.0),
            (50.0, 10.0),
        ] {
            let found = read(distance(KlEstimator::K3, one_row(&[0.0]), one_row(&[difference])))[0];
            assert!((found - expected).abs() < 2e-5, "{difference}: {found}, expected {expected}");
        }
    }

    #[test]
    fn the_simple_estimators_are_what_they_say() {
        let of = |estimator| read(distance(estimator, one_row(&[-1.0, -2.0]), one_row(&[-1.5, -1.0])));
        assert_eq!(of(KlEstimator::K1), [0.5, -1.0]);
        assert_eq!(of(KlEstimator::K2), [0.125, 0.5]);
        assert_eq!(of(KlEstimator::Abs), [0.5, 1.0]);
    }

    #[test]
    fn an_adaptive_coefficient_steers() {
        let settings = KlSettings { target: 0.1, ..KlSettings::default() };
        assert!((next_coefficient(0.01, &settings, 0.3, 2560) - 0.010_512).abs() < 1e-9);
        assert!((next_coefficient(0.01, &settings, 0.05, 2560) - 0.009_488).abs() < 1e-9);
        assert_eq!(next_coefficient(0.01, &KlSettings::default(), 0.3, 2560), 0.01);
    }
}
