//! The switches between what was released and what is right, in one place: the `[parity]` table.
//!
//! The reasons stand in the files of `objective/`, where each of them changes something.

use super::average::Average;
use super::contrast::{ContrastClamp, ContrastRatio};
use super::entropy::EntropyKind;
use super::reward::AccuracyMode;
use super::views::MaskSpace;
use serde::{Deserialize, Serialize};

/// All switches at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// What the published code computes, as far as switches go. What has none stands in the lists of `objective/`.
    Released,
    /// What the papers mean, with the faults of the code mended.
    Corrected,
}

/// The `[parity]` table of a recipe. Without a preset: as released, but a mean over all tokens of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parity {
    /// How tokens are averaged.
    pub average: Average,
    /// Which ratio measures a contrast.
    pub contrast_ratio: ContrastRatio,
    /// What bounds a contrast.
    pub contrast_clamp: ContrastClamp,
    /// Whether the gradient also flows through the picture of a contrast.
    pub contrast_gradient: bool,
    /// What is taken for entropy.
    pub entropy: EntropyKind,
    /// When an answer is right.
    pub accuracy: AccuracyMode,
    /// Where the cells of a mask lie.
    pub mask_space: MaskSpace,
}

impl Preset {
    /// The switches of this preset for an objective with these defaults.
    #[must_use]
    pub fn apply(self, defaults: Parity) -> Parity {
        match self {
            // Objectives are as released but for this.
            Self::Released => Parity { average: Average::MicroBatchToken, ..defaults },
            Self::Corrected => Parity {
                average: Average::Token,
                contrast_ratio: ContrastRatio::Code,
                contrast_clamp: ContrastClamp::Soft,
                contrast_gradient: true,
                entropy: EntropyKind::Distribution,
                accuracy: AccuracyMode::SingleLabel,
                mask_space: MaskSpace::Model,
            },
        }
    }
}
