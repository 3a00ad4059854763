//! `grpo`, `dapo`, `papo`, `noisy-rollout`, `tapo`: reinforcement learning.

use crate::cli::RlArgs;
use crate::rl::{Objective, RlRecipe, train};
use crate::{device, progress};
use anyhow::Result;

/// Trains as the recipe says.
///
/// # Errors
/// Recipe, data, checkpoint, reward or disk.
pub fn run(objective: Objective, arguments: &RlArgs) -> Result<()> {
    let recipe = RlRecipe::read(objective, &arguments.recipe, &arguments.overrides)?;
    progress::listen_for_interrupt()?;
    train(&recipe, &device::open(arguments.device)?, arguments.resume)
}
