//! GRPO: answers are measured against the other answers to the same question.
//!
//! <https://arxiv.org/abs/2402.03300>, as run by
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/examples/config.yaml>. Where paper, code and this program
//! differ:
//!
//! 1. Mean over tokens. Paper: the mean of the answers' means. EasyR1, before its pull request 417, and all
//!    that descends from it: the mean of micro-batches' token means. Here: every token of an update weighs the
//!    same; `parity.average = "micro_batch_token"` and `"sequence"` are the other two.
//! 2. Standard deviation. Paper: not said which. Code and here: the unbiased one, and `1e-6` is added to it.
//! 3. Distance to the reference. Paper: `k3` without bounds. Code and here: its exponent is held within 20 and
//!    its value within 10, beyond which it has no gradient.
//! 4. Clip. Paper: 0.2 both ways. EasyR1: 0.2 and 0.3, and a dual clip of 3. Here: 0.2, 0.3 and 3.
//! 5. `ℓ_old`. Code: always computed by the trainer before the first update. Here: with one update a step it is
//!    that update's own value, which is the same number without the pass.
//! 6. Temperature. Logits are divided by it before probabilities are taken, in code and here. `top_p` below 1
//!    is a bias in both: answers are drawn from a cut distribution and scored under the whole one.
//! 7. Size of pictures. EasyR1 resizes a picture that has too many or too few pixels before the checkpoint's own
//!    preprocessor sees it, to a width and a height that are cut to whole numbers, and the preprocessor rounds those
//!    to patches once more. Here the preprocessor's rule is applied once, to the file; a side may have one patch more
//!    or less. No switch and no preset brings the first resize back.
//!
//! `parity.preset = "released"` changes the mean of item 1 alone: whatever else has a switch is as released by default,
//! and what has none (5 and 7 here, and the items of the other files that say so) stays as it is here.

use crate::rl::kl::KlSettings;
use crate::rl::recipe::RlRecipe;
use crate::rl::surrogate::PolicySettings;
use crate::rl::views::{ConditionOn, Picture, RolloutView};

/// One view, everybody kept, near the reference.
pub fn defaults() -> RlRecipe {
    RlRecipe {
        views: [(Picture::Anchor, RolloutView { answers: 5, conditioned_on: ConditionOn::Own })].into(),
        policy: PolicySettings { clip_high: 0.3, ..PolicySettings::default() },
        kl: KlSettings { coefficient: 1e-2, ..KlSettings::default() },
        ..RlRecipe::default()
    }
}
