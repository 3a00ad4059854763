//! What changes in the course of a run: noise that fades, coefficients that are let go.
//!
//! Noise: `ImageAugmenter.augment` in
//! <https://github.com/NUS-TRAIL/NoisyRollout/blob/09347ddd88135b83a336a204ecf6353121bbee79/verl/utils/image_aug.py>.
//! Coefficients: `AnnealingKLController` in
//! <https://github.com/MikeWangWZHL/PAPO/blob/fb63bf4/verl/trainer/core_algos.py>.

use serde::{Deserialize, Serialize};

/// How noise fades with the share of the run that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// It stays.
    Constant,
    /// In a straight line.
    Linear,
    /// `1 - share ^ steepness`.
    Power,
    /// `1 - steepness ^ (steps that are left)`.
    Exponential,
    /// `1 - sigmoid(steepness · (step - middle) / total)`.
    #[default]
    Sigmoid,
}

/// The `[noise]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseSettings {
    /// Step of the diffusion process at the beginning of the run, below 1000.
    pub step: usize,
    /// How it fades.
    pub decay: Decay,
    /// Constant of [`Decay`].
    pub steepness: f64,
    /// Step of the run at which a sigmoid is at its half.
    pub middle_step: usize,
}

impl Default for NoiseSettings {
    fn default() -> Self {
        Self { step: 500, decay: Decay::Sigmoid, steepness: 30.0, middle_step: 40 }
    }
}

impl NoiseSettings {
    /// The step of the diffusion process in step `step` of `total`.
    #[must_use]
    pub fn at(&self, step: usize, total: usize) -> usize {
        let (step, total) = (step as f64, total.max(1) as f64);
        let left = match self.decay {
            Decay::Constant => 1.0,
            Decay::Linear => 1.0 - step / total,
            Decay::Power => 1.0 - (step / total).powf(self.steepness),
            Decay::Exponential => 1.0 - self.steepness.powf(total - step),
            Decay::Sigmoid => {
                let place = self.steepness * (step - self.middle_step as f64) / total;
                1.0 - 1.0 / (1.0 + (-place).exp())
            }
        };
        (self.step as f64 * left.max(0.0)) as usize
    }
}

/// A coefficient of which less and less is left.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annealing {
    /// What it ends at.
    pub end: f64,
    /// Share of the run after which it has ended.
    pub share: f64,
}

impl Annealing {
    /// The coefficient that began as `start`, in step `step` of `total`.
    #[must_use]
    pub fn at(self, start: f64, step: usize, total: usize) -> f64 {
        let steps = (self.share * total as f64) as usize;
        if step >= steps {
            return self.end;
        }
        start + (self.end - start) * step as f64 / steps as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_fades_as_in_the_scripts() {
        let small = NoiseSettings::default();
        for (step, expected) in
            [(1, 499), (30, 496), (35, 462), (38, 365), (40, 250), (42, 134), (45, 37), (50, 3), (60, 0)]
        {
            assert_eq!(small.at(step, 60), expected, "step {step}");
        }
        let large = NoiseSettings { step: 450, steepness: 60.0, ..NoiseSettings::default() };
        for (step, expected) in [(0, 449), (40, 225), (45, 34)] {
            assert_eq!(large.at(step, 120), expected, "step {step}");
        }
        let of = |decay, steepness| NoiseSettings { decay, steepness, ..NoiseSettings::default() };
        assert_eq!(of(Decay::Constant, 1.0).at(59, 60), 500);
        assert_eq!(of(Decay::Linear, 1.0).at(30, 60), 250);
        assert_eq!(of(Decay::Power, 2.0).at(30, 60), 375);
        assert_eq!(of(Decay::Exponential, 1.0).at(3, 60), 0, "as the original's defaults have it");
    }

    #[test]
    fn a_coefficient_is_let_go_in_a_line() {
        let annealing = Annealing { end: 0.0, share: 0.5 };
        for (step, expected) in [(0, 0.01), (25, 0.005), (50, 0.0), (99, 0.0)] {
            assert!((annealing.at(0.01, step, 100) - expected).abs() < 1e-12, "step {step}");
        }
    }
}
