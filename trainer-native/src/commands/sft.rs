//! `sft`: supervised fine-tuning.

use crate::cli::SftArgs;
use crate::sft::{SftRecipe, check_data, train};
use crate::{device, progress};
use anyhow::Result;

/// Trains as the recipe says, or only reads what it would train on.
///
/// # Errors
/// Recipe, data, checkpoint or disk.
pub fn run(arguments: &SftArgs) -> Result<()> {
    let recipe = SftRecipe::read(&arguments.recipe, &arguments.overrides)?;
    if arguments.check_data {
        return check_data(&recipe, arguments.show, arguments.json);
    }
    progress::listen_for_interrupt()?;
    train(&recipe, &device::open(arguments.device)?, arguments.resume)
}
