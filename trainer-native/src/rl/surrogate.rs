//! What is minimised in place of the reward: a function of how much likelier a token has become.
//!
//! PPO's clip <https://arxiv.org/abs/1707.06347>, dual clip <https://arxiv.org/abs/1912.09729>, clip-higher
//! <https://arxiv.org/abs/2503.14476>, GSPO <https://arxiv.org/abs/2507.18071>, CISPO
//! <https://arxiv.org/abs/2506.13585>, SAPO <https://arxiv.org/abs/2511.20347>; spelled as
//! `compute_policy_loss` in <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/trainer/core_algos.py>.

use super::kl::LARGEST_DIFFERENCE;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surrogate {
    /// The clipped ratio of every token.
    #[default]
    Ppo,
    /// The clipped ratio of the whole answer.
    Gspo,
    /// The value of [`Self::Gspo`] with the gradient of the single token.
    GspoToken,
    /// The log-probability, weighted with the clipped ratio.
    Cispo,
    /// A smooth gate in place of the clip.
    Sapo,
}

/// The `[policy]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Which function.
    pub surrogate: Surrogate,
    /// How far below 1 a ratio counts.
    pub clip_low: f64,
    /// How far above 1 a ratio counts.
    pub clip_high: f64,
    /// The largest ratio that counts against a bad answer.
    pub clip_dual: f64,
    /// Steepness of SAPO's gate for good answers.
    pub tau_positive: f64,
    /// Steepness of SAPO's gate for bad answers.
    pub tau_negative: f64,
}

impl Default for PolicySettings {
    fn default() -> Self {
        Self {
            surrogate: Surrogate::Ppo,
            clip_low: 0.2,
            clip_high: 0.2,
            clip_dual: 3.0,
            tau_positive: 1.0,
            tau_negative: 1.05,
        }
    }
}

/// The loss of every token, and what the clip did to it.
#[derive(Debug, Clone)]
pub struct SurrogateTokens {
    /// `[rollouts, tokens]`
    pub loss: Tensor<2>,
    /// 1 where the upper clip holds a token back, `[rollouts, tokens]`.
    pub clip_high: Tensor<2>,
    /// 1 where the lower clip holds a token back, `[rollouts, tokens]`.
    pub clip_low: Tensor<2>,
    /// 1 where the dual clip holds a token back, `[rollouts, tokens]`.
    pub clip_dual: Tensor<2>,
}

/// The loss of every token.
///
/// # Shapes
/// - all: `[rollouts, tokens]`
#[must_use]
pub fn surrogate(
    settings: &PolicySettings,
    log_prob: Tensor<2>,
    old: Tensor<2>,
    advantage: Tensor<2>,
    mask: Tensor<2>,
) -> SurrogateTokens {
    let [rollouts, tokens] = log_prob.dims();
    assert_shape!(old, [rollouts, tokens]);
    assert_shape!(advantage, [rollouts, tokens]);
    assert_shape!(mask, [rollouts, tokens]);
    let change = log_prob.clone() - old;
    let change = match settings.surrogate {
        Surrogate::Gspo => of_answer(change, mask.clone()) * mask,
        Surrogate::GspoToken => {
            of_answer(change, mask).detach() + log_prob.clone() - log_prob.clone().detach()
        }
        Surrogate::Ppo | Surrogate::Cispo | Surrogate::Sapo => change,
    };
    let ratio = change.clone().clamp(-LARGEST_DIFFERENCE, LARGEST_DIFFERENCE).exp();
    let clipped = change.clamp((1.0 - settings.clip_low).ln(), (1.0 + settings.clip_high).ln()).exp();

    let free = advantage.clone().neg() * ratio.clone();
    let bounded = advantage.clone().neg() * clipped.clone();
    let is_bad = advantage.clone().lower_scalar(0.0);
    let is_bounded = free.clone().lower(bounded.clone());
    let higher = free.mask_where(is_bounded.clone(), bounded);
    let dual = advantage.clone() * -settings.clip_dual;
    let is_dual = higher.clone().greater(dual.clone()).bool_and(is_bad.clone());
    let loss = match settings.surrogate {
        Surrogate::Ppo | Surrogate::Gspo | Surrogate::GspoToken => higher.mask_where(is_dual.clone(), dual),
        Surrogate::Cispo => advantage.neg() * log_prob * clipped.detach(),
        Surrogate::Sapo => {
            let gate = |tau: f64| sigmoid((ratio.clone() - 1.0) * tau) * (4.0 / tau);
            let gate = gate(settings.tau_positive).mask_where(is_bad.clone(), gate(settings.tau_negative));
            advantage.neg() * gate
        }
    };
    // A good token is held back from above, a bad one from below.
    let is_low = is_bounded.clone().bool_and(is_bad.clone());
    let is_high = is_bounded.bool_and(is_bad.bool_not());
    SurrogateTokens { loss, clip_high: is_high.float(), clip_low: is_low.float(), clip_dual: is_dual.float() }
}

/// The mean over an answer's tokens, for each of them.
fn of_answer(change: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
    let dims = change.dims();
    let count = mask.clone().sum_dim(1) + 1e-8;
    ((change * mask).sum_dim(1) / count).expand(dims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::rl::tokens::padded;

    #[test]
    fn ppo_has_its_vectors() {
        let device = device::storage().expect("a processor").device;
        let settings = PolicySettings { clip_high: 0.28, ..PolicySettings::default() };
        for (change, advantage, expected) in [
            (0.0, 1.0, -1.0),
            (0.5, 1.0, -1.28),
            (-0.5, 1.0, -0.606_531),
            (0.5, -1.0, 1.648_721),
            (-0.5, -1.0, 0.8),
            (1.5, -1.0, 3.0),
            (-1.5, 1.0, -0.223_13),
        ] {
            let one = |value: f32| padded(&[vec![value]], &device);
            let found = surrogate(&settings, one(change), one(0.0), one(advantage), one(1.0));
            let loss = found.loss.into_scalar::<f32>();
            assert!((loss - expected).abs() < 1e-6, "{change} {advantage}: {loss}");
            let clips = [found.clip_high, found.clip_low, found.clip_dual];
            let held_back = [
                change == 0.5 && advantage > 0.0,
                change == -0.5 && advantage < 0.0,
                change == 1.5 && advantage < 0.0,
            ];
            assert_eq!(
                clips.map(|clip| clip.into_scalar::<f32>() > 0.0),
                held_back,
                "{change} {advantage}: from above, from below, by the dual clip"
            );
        }
    }
}
