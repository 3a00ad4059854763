//! What a run remembers besides weights and optimizer, so that it can go on.

use crate::exact;
use serde::{Deserialize, Serialize};

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Steps that were made.
    pub step: usize,
    /// Questions that were read.
    pub cursor: u64,
    /// Weight of the distance to the reference.
    #[serde(with = "exact")]
    pub kl_coefficient: f64,
    /// The last steps in a row that learnt nothing.
    pub empty_steps: usize,
}
