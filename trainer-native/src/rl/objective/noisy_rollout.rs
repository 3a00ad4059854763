//! NoisyRollout: half of the answers are drawn from a noisy picture, and all are learnt from the clean one.
//!
//! <https://arxiv.org/abs/2504.13055>,
//! <https://github.com/NUS-TRAIL/NoisyRollout/blob/09347ddd88135b83a336a204ecf6353121bbee79/verl/trainer/ray_trainer.py>.
//! Where paper, code and this program differ:
//!
//! 1. What answers are learnt from. Paper and code: the clean picture; answers drawn from noise are off-policy, and
//!    their ratio is 1 at the first update because `ℓ_old` is the clean one as well. Here: the same
//!    (`views.noise.conditioned_on = "anchor"`).
//! 2. Noise. Paper and code: steps of a diffusion process that fade by a sigmoid, from 500 with steepness 30 and its
//!    middle at step 40 of about 60. Code's defaults (an exponential with base 1) give no noise at all. Here: the
//!    paper's; `noise.middle_step` must fit the length of the run.
//! 3. Noise is drawn without seed in the code, and by seed, step and row here.
//! 4. Entropy. Code: a bonus of 1e-3 times the entropy of the distribution. Here: `entropy.own = -1e-3`, which needs
//!    `parity.entropy = "distribution"` and sets it.
//! 5. Clip. Code: 0.2 both ways, no dual clip. Here: 0.2 both ways; the dual clip of 3 stays, as it only bounds, also
//!    under the preset `released`. `policy.clip_dual = 1e9` takes it out.
//! 6. Vision tower. Code: frozen. Here: frozen.
//! 7. Everything of [`super::grpo`] but its reference.

use super::grpo;
use crate::rl::entropy::{EntropyKind, EntropySettings};
use crate::rl::kl::KlSettings;
use crate::rl::parity::Parity;
use crate::rl::recipe::RlRecipe;
use crate::rl::surrogate::PolicySettings;
use crate::rl::views::{ConditionOn, Picture, RolloutView};

/// GRPO's without reference, with as many answers again from noise.
pub fn defaults() -> RlRecipe {
    RlRecipe {
        views: [
            (Picture::Anchor, RolloutView { answers: 6, conditioned_on: ConditionOn::Own }),
            (Picture::Noise, RolloutView { answers: 6, conditioned_on: ConditionOn::Anchor }),
        ]
        .into(),
        policy: PolicySettings::default(),
        kl: KlSettings::default(),
        entropy: EntropySettings { own: -1e-3, contrast: 0.0 },
        parity: Parity { entropy: EntropyKind::Distribution, ..Parity::default() },
        freeze_vision_tower: true,
        ..grpo::defaults()
    }
}
