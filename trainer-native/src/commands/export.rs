//! `export`: a checkpoint in another precision, or with an adapter worked into its weights.

use crate::adapter::attach;
use crate::checkpoint::{self, explain};
use crate::cli::ExportArgs;
use anyhow::Result;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::Precision;
use std::path::Path;

/// Loads a checkpoint and writes it, merged where an adapter is given.
///
/// # Errors
/// The checkpoint is incomplete, or the folder cannot be written.
pub fn run(arguments: &ExportArgs) -> Result<()> {
    checkpoint::refuse_filled(&arguments.out)?;
    let files = checkpoint::read_files(&arguments.model)?;
    let processor = Processor::new(&files).map_err(|error| explain(&arguments.model, &error))?;
    let mut storage = crate::device::storage()?;
    if arguments.merge.is_some() {
        // Rounded once, when written.
        storage.precision = Some(Precision::F32);
    }
    let model = checkpoint::load_weights(&arguments.model, processor.config(), &storage)?;
    let model = match &arguments.merge {
        Some(adapter) => merge(model, adapter)?,
        None => model,
    };
    let (config, precision) = (processor.config(), arguments.dtype.into());
    let largest = arguments.max_shard_size.unwrap_or(checkpoint::MAX_SHARD_BYTES);
    checkpoint::save_in_shards(&arguments.out, &files, config, &model, precision, largest)?;
    eprintln!("wrote {}", arguments.out.display());
    Ok(())
}

fn merge(model: VisionLanguageModel, adapter: &Path) -> Result<VisionLanguageModel> {
    let (mut model, _) = attach(model, adapter)?;
    for (_, layer) in model.linears_mut() {
        *layer = layer.clone().merge();
    }
    Ok(model)
}
