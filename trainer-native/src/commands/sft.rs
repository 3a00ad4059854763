//! `sft`: supervised fine-tuning.

use crate::cli::SftArgs;
use crate::sft::{SftRecipe, train};
use crate::{device, progress};
use anyhow::Result;

/// Trains as the recipe says.
///
/// # Errors
/// Recipe, data, checkpoint or disk.
pub fn run(arguments: &SftArgs) -> Result<()> {
    let recipe = SftRecipe::read(&arguments.recipe, &arguments.overrides)?;
    progress::listen_for_interrupt()?;
    train(&recipe, &device::open(arguments.device)?, arguments.resume)
}
