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

/// The learning rate of step `step` (from 0) of `total`.
///
/// The warm-up is part of every schedule here; recipes give [`Schedule::Constant`] none.
#[must_use]
pub fn learning_rate(schedule: Schedule, peak: f64, warmup: usize, step: usize, total: usize) -> f64 {
    if step < warmup {
        return peak * step as f64 / warmup as f64;
    }
    let progress = (step - warmup) as f64 / (total.saturating_sub(warmup)).max(1) as f64;
    match schedule {
        Schedule::Cosine => peak * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        Schedule::Linear => peak * (1.0 - progress).max(0.0),
        Schedule::Constant | Schedule::ConstantWithWarmup => peak,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_with_warmup_has_the_values_of_fine_r1() {
        // Learning rate 5e-6, 6 steps of warm-up, 60 steps: steps 1, 20 and 40.
        for (step, expected) in [(1, 8.333_333e-7), (20, 4.215_6e-6), (40, 1.509_8e-6)] {
            let rate = learning_rate(Schedule::Cosine, 5e-6, 6, step, 60);
            assert!((rate / expected - 1.0).abs() < 1e-4, "step {step}: {rate}");
        }
    }

    #[test]
    fn schedules_differ_after_the_warmup_alone() {
        let rates = |schedule| [0, 1, 2, 4, 6].map(|step| learning_rate(schedule, 1.0, 2, step, 6));
        assert_eq!(rates(Schedule::Linear), [0.0, 0.5, 1.0, 0.5, 0.0]);
        assert_eq!(rates(Schedule::ConstantWithWarmup), [0.0, 0.5, 1.0, 1.0, 1.0]);
        assert_eq!(rates(Schedule::Cosine)[..3], [0.0, 0.5, 1.0]);
    }
}
