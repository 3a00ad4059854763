//! PAPO: an answer shall depend on the picture, so the policy is moved away from itself with a masked picture.
//!
//! <https://arxiv.org/abs/2507.06448>,
//! <https://github.com/MikeWangWZHL/PAPO/blob/fb63bf4/verl/workers/actor/dp_actor.py> (`update_policy`); the variant
//! on DAPO, "PAPO-D". Where paper, code and this program differ:
//!
//! 1. The ratio in `r - log r - 1`. Paper: `p / p_masked`. Code: `p_masked / p`, the right one for tokens of `p`.
//!    Here: the code's; `parity.contrast_ratio = "printed"` is the paper's.
//! 2. Bounds. Paper: none. Code: the value within 10; a token that the mask makes 14 times likelier, or 60 000 times
//!    less likely, has no gradient. Here: the same; `parity.contrast_clamp = "soft"` keeps a bounded gradient.
//! 3. Gradient through the masked picture. Paper: yes. Code: `ℓ_mask` is computed once before the updates and has
//!    none (<https://github.com/MikeWangWZHL/PAPO/issues/20>). Here: the same; `parity.contrast_gradient = true`
//!    computes it anew in every update, with gradient.
//! 4. Entropies. Paper: `H = log p`, subtracted. Code: `-log p` of the drawn tokens, added, which is the same; for
//!    the masked picture a constant, by 3. Its gradient raises all drawn tokens alike and vanishes on average.
//!    Here: the same; `parity.entropy = "distribution"` takes the entropy of the distribution.
//! 5. Mask. Paper: patches of the picture. Code: cells of 14 pixels on the file's pixels, whatever the size at
//!    which the model sees it, from a generator without seed. Here: the same cells, drawn by seed, step and row;
//!    `parity.mask_space = "model"` lays them on the pixels that the model sees.
//! 6. Weight per answer. Code: `kl_prcp_apply_mode` names three, one is written. Here: all answers weigh the same.
//! 7. Branch `main_qwen3` of the code adds its terms to a variable that is not differentiated; it is no reference.
//! 8. Averages. Code: token means of micro-batches. Here: see [`super::grpo`], 1.
//! 9. Dynamic sampling and size of pictures: see [`super::dapo`], 1, and [`super::grpo`], 7.

use super::dapo;
use crate::rl::entropy::EntropySettings;
use crate::rl::recipe::RlRecipe;
use crate::rl::views::{ContrastView, Picture};

/// DAPO's, with the masked anchor as contrast.
pub fn defaults() -> RlRecipe {
    RlRecipe {
        contrasts: [(Picture::Mask, ContrastView { coefficient: 0.01, annealing: None, measured: false })]
            .into(),
        entropy: EntropySettings { own: 0.03, contrast: 0.03 },
        ..dapo::defaults()
    }
}
