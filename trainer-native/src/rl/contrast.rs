//! How much an answer depends on what was seen: the distance between the policy that sees the picture
//! and the same policy that sees another one.
//!
//! PAPO <https://arxiv.org/abs/2507.06448> (masked picture), TAPO <https://arxiv.org/abs/2602.07605> (picture
//! of another class); `compute_kl` and `update_policy` in
//! <https://github.com/MikeWangWZHL/PAPO/blob/fb63bf4/verl/workers/actor/dp_actor.py>.

use super::kl::{LARGEST_K3, k3};
use burn::tensor::{Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// Which ratio the estimator `r - log r - 1` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContrastRatio {
    /// `p_other / p_own`, as the released code has it: the right one for tokens of the policy itself.
    #[default]
    Code,
    /// `p_own / p_other`, as the papers print it. Its gradient grows without bound.
    Printed,
}

/// What keeps the estimate from running away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContrastClamp {
    /// At most 10, as released; tokens beyond have no gradient.
    #[default]
    Released,
    /// Beyond 10 it goes on as a logarithm, so that no token loses its gradient and none has a large one.
    Soft,
    /// Nothing but the bound of the difference itself.
    Unbounded,
}

/// Every token's share of the distance.
///
/// # Shapes
/// - `own`, `other`, output: `[rollouts, tokens]`
#[must_use]
pub fn contrast(ratio: ContrastRatio, clamp: ContrastClamp, own: Tensor<2>, other: Tensor<2>) -> Tensor<2> {
    let [rollouts, tokens] = own.dims();
    assert_shape!(other, [rollouts, tokens]);
    let estimate = match ratio {
        ContrastRatio::Code => k3(other - own),
        ContrastRatio::Printed => k3(own - other),
    };
    match clamp {
        ContrastClamp::Released => estimate.clamp(-LARGEST_K3, LARGEST_K3),
        ContrastClamp::Soft => {
            let is_beyond = estimate.clone().greater_scalar(LARGEST_K3);
            let tail = ((estimate.clone().clamp_min(LARGEST_K3) / LARGEST_K3).log() + 1.0) * LARGEST_K3;
            estimate.mask_where(is_beyond, tail)
        }
        ContrastClamp::Unbounded => estimate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::rl::tokens::padded;

    /// Value, and derivative by the log-probability under the picture itself.
    fn at(clamp: ContrastClamp, difference: f32) -> (f32, f32) {
        let device = device::storage().expect("a processor").device.autodiff();
        let own = padded(&[vec![0.0]], &device).require_grad();
        let value = contrast(ContrastRatio::Code, clamp, own.clone(), padded(&[vec![difference]], &device));
        let gradient = own.grad(&value.clone().sum().backward()).expect("a gradient");
        (value.into_scalar(), gradient.into_scalar())
    }

    #[test]
    fn the_released_clamp_takes_the_gradient_away() {
        for (difference, gradient) in
            [(1.0, -1.718_28), (-1.0, 0.632_121), (2.611, 0.0), (-11.5, 0.0), (0.0, 0.0)]
        {
            let found = at(ContrastClamp::Released, difference).1;
            assert!((found - gradient).abs() < 1e-5, "{difference}: {found}");
        }
    }

    #[test]
    fn the_soft_clamp_keeps_it_and_bounds_it() {
        for difference in [-15.0, -11.5, 2.7, 5.0, 15.0] {
            let (value, gradient) = at(ContrastClamp::Soft, difference);
            assert!(value > 10.0 && value.is_finite(), "{difference}: {value}");
            assert!(gradient != 0.0 && gradient.abs() < 14.0, "{difference}: {gradient}");
            assert_eq!(gradient < 0.0, difference > 0.0, "{difference}: {gradient}");
        }
        assert_eq!(at(ContrastClamp::Soft, 2.0), at(ContrastClamp::Unbounded, 2.0));
    }
}
