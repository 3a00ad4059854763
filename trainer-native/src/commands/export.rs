//! `export`: a checkpoint in another precision.

use crate::checkpoint::{self, explain};
use crate::cli::ExportArgs;
use anyhow::Result;
use fine_r1_core::recognizer::Processor;

/// Loads a checkpoint and writes it.
///
/// # Errors
/// The checkpoint is incomplete, or the folder cannot be written.
pub fn run(arguments: &ExportArgs) -> Result<()> {
    checkpoint::refuse_filled(&arguments.out)?;
    let files = checkpoint::read_files(&arguments.model)?;
    let processor = Processor::new(&files).map_err(|error| explain(&arguments.model, &error))?;
    let model = checkpoint::load_weights(&arguments.model, processor.config(), &crate::device::storage()?)?;
    checkpoint::save(&arguments.out, &files, processor.config(), &model, arguments.dtype.into())?;
    eprintln!("wrote {}", arguments.out.display());
    Ok(())
}
