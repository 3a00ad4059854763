//! DAPO: GRPO without a reference, with a higher upper clip, and without questions that teach nothing.
//!
//! <https://arxiv.org/abs/2503.14476>, as run by the `dapo` scripts of
//! <https://github.com/MikeWangWZHL/PAPO/tree/fb63bf4/examples>. Where paper, code and this program differ:
//!
//! 1. Dynamic sampling. Paper: until the batch is full. Code: 20 tries, or without end; an error where a round
//!    keeps nothing. Here: `filter.max_tries` rounds, then the step is made with the groups it has, and says so.
//!    Tries without end are not to be had, also not by the preset `released`: a large number comes near.
//! 2. What is filtered by. EasyR1: the overall reward; with weights of 0.9 and 0.1 a group of well-formed wrong
//!    answers has a mean of 0.1 and passes. The scripts and here: accuracy.
//! 3. Answers that were cut off. Paper: masked or softly punished. Scripts: neither. Here: the soft penalty is
//!    `reward.overlong`, off by default.
//! 4. Dual clip. Paper: none. Code and here: 3.
//! 5. Everything of [`super::grpo`] but its reference.

use super::grpo;
use crate::rl::filter::FilterSettings;
use crate::rl::kl::KlSettings;
use crate::rl::recipe::RlRecipe;
use crate::rl::surrogate::PolicySettings;

/// GRPO's, filtered, without reference.
pub fn defaults() -> RlRecipe {
    RlRecipe {
        policy: PolicySettings { clip_high: 0.28, ..PolicySettings::default() },
        kl: KlSettings::default(),
        filter: FilterSettings { enabled: true, ..FilterSettings::default() },
        ..grpo::defaults()
    }
}
