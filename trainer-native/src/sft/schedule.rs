//! The learning rate of every step, as transformers' schedules give it:
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/optimization.py>.

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Half a cosine down to zero.
    #[default]
    Cosine,
    /// A straight line down to zero.
    Linear,
    /// As it is, from the first step on.
    Constant,
    /// As it is, after the warm-up.
    ConstantWithWarmup,
}

/// The learning rates of a run, each step's as a share of the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rise {
    /// How it goes on after the warm-up.
    pub schedule: Schedule,
    /// Steps in which the rate rises from zero.
    pub warmup: usize,
    /// Steps of the run.
    pub total: usize,
}

impl Rise {
    /// The learning rate of step `step` (from 0), the highest being 1.
    #[must_use]
    pub fn share(&self, step: usize) -> f64 {
        let Self { schedule, warmup, total } = *self;
        if step < warmup && schedule != Schedule::Constant {
            return step as f64 / warmup as f64;
        }
        let progress = step.saturating_sub(warmup) as f64 / (total.saturating_sub(warmup)).max(1) as f64;
        match schedule {
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Schedule::Linear => (1.0 - progress).max(0.0),
            Schedule::Constant | Schedule::ConstantWithWarmup => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_with_warmup_has_the_values_of_fine_r1() {
        // Learning rate 5e-6, 6 steps of warm-up, 60 steps: steps 1, 20 and 40.
        let rise = Rise { schedule: Schedule::Cosine, warmup: 6, total: 60 };
        for (step, expected) in [(1, 8.333_333e-7), (20, 4.215_6e-6), (40, 1.509_8e-6)] {
            let rate = 5e-6 * rise.share(step);
            assert!((rate / expected - 1.0).abs() < 1e-4, "step {step}: {rate}");
        }
    }

    #[test]
    fn schedules_differ_after_the_warmup_alone() {
        let shares = |schedule| {
            let rise = Rise { schedule, warmup: 2, total: 6 };
            [0, 1, 2, 4, 6].map(|step| rise.share(step))
        };
        assert_eq!(shares(Schedule::Linear), [0.0, 0.5, 1.0, 0.5, 0.0]);
        assert_eq!(shares(Schedule::ConstantWithWarmup), [0.0, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(shares(Schedule::Constant), [1.0; 5]);
    }
}
