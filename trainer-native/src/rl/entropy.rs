//! How undecided the policy is, and what is taken for it.
//!
//! The double entropy of PAPO, section 3.3 of <https://arxiv.org/abs/2507.06448>; what is wrong with the
//! released estimate: <https://github.com/MikeWangWZHL/PAPO/issues/20>.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// What is taken for a token's entropy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyKind {
    /// `-log p` of the token that was drawn, as released. It has the right mean, but its gradient raises
    /// every drawn token alike and has the mean zero.
    #[default]
    Sampled,
    /// `-Σ p log p` over the vocabulary, from the logits.
    Distribution,
}

/// The `[entropy]` table of a recipe: weights in the loss. Positive ones make the policy more decided,
/// as PAPO and TAPO do; a negative one keeps it open, as NoisyRollout does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntropySettings {
    /// Of the policy that sees the picture.
    pub own: f64,
    /// Of the policy that sees a contrast.
    pub contrast: f64,
}

/// Every token's entropy, `[rollouts, tokens]`.
#[must_use]
pub fn entropy(kind: EntropyKind, log_prob: Tensor<2>, distribution: Option<Tensor<2>>) -> Tensor<2> {
    match (kind, distribution) {
        (EntropyKind::Distribution, Some(distribution)) => distribution,
        _ => log_prob.neg(),
    }
}
