//! Pictures made worse on purpose: what training by reinforcement shows beside the picture itself.
//!
//! Both take their random numbers from the caller, so that a run can make the same picture again.

mod diffusion;
mod patch_mask;

pub use diffusion::{NOISE_STEPS, diffuse, noise_weights};
pub use patch_mask::blacken_patches;
