//! TAPO: triplets. Answers to another picture of the class join the group, and the policy is moved away from
//! itself with a picture of the nearest other class.
//!
//! <https://arxiv.org/abs/2602.07605>, equations 1 to 4;
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/tree/84cdc5c/TAPO>. Where paper, code and this program differ:
//!
//! 1. What answers to the positive picture are learnt from. Paper, section 4.3: the anchor; its equations 2 and 3: the
//!    picture itself. Code: the picture itself, since rollouts bring their picture along. Here: the picture itself;
//!    `views.positive.conditioned_on = "anchor"` is the other.
//! 2. The ratio in `g - log g - 1`. Paper: `p / p_negative`. Code: the inverse, within bounds. Here: the code's; see
//!    [`super::papo`], 1 and 2.
//! 3. Gradient through the negative picture. Paper: yes. Code: none, and PAPO's switch for it is gone. Here: none;
//!    `parity.contrast_gradient = true` is the paper's.
//! 4. Entropies. Paper: `H = log p`, subtracted: low entropy is wanted. Code: see [`super::papo`], 4; that of the
//!    negative picture is a constant. Here: the same; `parity.entropy = "distribution"` has gradients for both.
//! 5. Reference. Paper, figure 2: drawn. Code and here: none.
//! 6. Positive and negative pictures. Code: must have the anchor's exact size, as positions are computed from the
//!    anchor alone. Here: any size; ids and positions are made for every picture.
//! 7. Rows without negative picture. Code and here: the masked anchor of PAPO.
//! 8. Dynamic sampling. Paper: 20 tries. Code: without end, and where a round keeps nothing it keeps everything.
//!    Here: 20 tries, then what was kept; over the accuracy of all answers of both views. Neither of the code's two
//!    ways is covered by the preset `released`; a group without advantages teaches contrast and entropies alone.
//! 9. Right answers. Code: the true name is a part of the first answer, blanks beside `<`, `>` and `/` deleted. Here: the
//!    same; `parity.accuracy` has stricter rules, which lists of names do not pass.
//! 10. Averages. Code: token means of micro-batches of 4. Here: see [`super::grpo`], 1.
//! 11. Size of pictures. Code: EasyR1's two resizes. Here: one; see [`super::grpo`], 7.
//! 12. Without positive view the released trainer is broken (its `n · 2` are written out); here `views.positive.answers = 0`
//!     and `contrasts.negative.coefficient = 0` are the paper's two ablations.

use super::papo;
use crate::rl::recipe::RlRecipe;
use crate::rl::views::{ConditionOn, ContrastView, Picture, RolloutView};

/// PAPO's, with the two pictures of a triplet.
pub fn defaults() -> RlRecipe {
    RlRecipe {
        views: [
            (Picture::Anchor, RolloutView { answers: 5, conditioned_on: ConditionOn::Own }),
            (Picture::Positive, RolloutView { answers: 5, conditioned_on: ConditionOn::Own }),
        ]
        .into(),
        contrasts: [(
            Picture::Negative,
            ContrastView { coefficient: 0.01, annealing: None, measured: false },
        )]
        .into(),
        ..papo::defaults()
    }
}
