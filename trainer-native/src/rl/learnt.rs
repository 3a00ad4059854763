//! What a step has learnt, in numbers.

use super::objective::LossParts;
use super::tokens::PerToken;

/// What a step has learnt.
#[derive(Debug, Clone, Default)]
pub struct Learnt {
    /// The terms of the loss, averaged over the step's updates.
    pub parts: LossParts,
    /// The joint norm of the gradient before it was clipped, averaged over updates.
    pub grad_norm: f64,
    /// Distance to the reference, as it was charged.
    pub kl: f64,
    /// How far the log-probabilities of the sampler are from the trainer's, before the first update.
    pub mismatch: Mismatch,
    /// Updates whose gradient was no number and that changed nothing.
    pub skipped: usize,
    /// What every token of every answer was weighed with.
    pub advantages: PerToken,
}

/// Distances between two lists of log-probabilities that should be the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mismatch {
    largest: f64,
    sum: f64,
    count: usize,
}

impl Mismatch {
    /// Takes note of an answer's tokens.
    pub fn note(&mut self, sampled: &[f32], scored: &[f32]) {
        for (left, right) in sampled.iter().zip(scored) {
            let apart = f64::from((left - right).abs());
            // Updates that are no numbers are told of by themselves.
            if !apart.is_finite() {
                continue;
            }
            self.largest = self.largest.max(apart);
            self.sum += apart;
            self.count += 1;
        }
    }

    /// Takes note of what another worker has found.
    pub fn join(&mut self, other: Self) {
        self.largest = self.largest.max(other.largest);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// The largest; none where nothing was compared.
    #[must_use]
    pub fn largest(&self) -> Option<f64> {
        (self.count > 0).then_some(self.largest)
    }

    /// The mean; none where nothing was compared.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.sum / self.count as f64)
    }
}
