//! What a step has learnt, in numbers.

use super::objective::LossParts;

/// What a step has learnt.
#[derive(Debug, Clone, Copy, Default)]
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
}

/// Distances between two lists of log-probabilities that should be the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mismatch {
    /// The largest.
    pub largest: f64,
    sum: f64,
    count: usize,
}

impl Mismatch {
    /// Takes note of an answer's tokens.
    pub fn note(&mut self, sampled: &[f32], scored: &[f32]) {
        for (left, right) in sampled.iter().zip(scored) {
            let apart = f64::from((left - right).abs());
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

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}
