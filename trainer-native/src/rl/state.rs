//! What a run leaves on disk so that it can go on: weights in Hugging Face's layout, the optimizer, and
//! where it stands. A state is complete or absent.

use super::recipe::RlRecipe;
use crate::checkpoint::{self, write_file};
use crate::optimizer::AdamW;
use anyhow::{Context, Result, bail};
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The optimizer's file in a saved state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";

/// Where a run stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Steps that were made.
    pub step: usize,
    /// Questions that were read.
    pub cursor: u64,
    /// Weight of the distance to the reference.
    pub kl_coefficient: f64,
    /// The last steps in a row that learnt nothing.
    pub empty_steps: usize,
}

/// The folder to load weights from, and where the run stands.
///
/// # Errors
/// There is nothing to go on from, or a run is in the way.
pub fn start_point(recipe: &RlRecipe, resume: bool) -> Result<(PathBuf, RunState)> {
    let saved = saved_states(&recipe.output_dir);
    match (resume, saved.last()) {
        (true, Some((_, folder))) => {
            let path = folder.join(STATE);
            let state =
                serde_json::from_str(&checkpoint::read_text(&path)?).with_context(|| damaged(&path))?;
            Ok((folder.clone(), state))
        }
        (true, None) => bail!(
            "{} has no checkpoint to resume from\nhint: leave out --resume to begin, or correct output_dir",
            recipe.output_dir.display()
        ),
        (false, Some(_)) => bail!(
            "{} already holds a run\nhint: go on with --resume, or choose another output_dir",
            recipe.output_dir.display()
        ),
        (false, None) => {
            let state = RunState { kl_coefficient: recipe.kl.coefficient, ..RunState::default() };
            Ok((recipe.model_name_or_path.clone(), state))
        }
    }
}

/// What is said of a saved state that cannot be gone on from.
#[must_use]
pub fn damaged(path: &Path) -> String {
    format!("{} is damaged\nhint: remove this checkpoint to go on from the one before", path.display())
}

/// Saved states of a run, oldest first.
fn saved_states(output_dir: &Path) -> Vec<(usize, PathBuf)> {
    let Ok(entries) = fs::read_dir(output_dir) else { return Vec::new() };
    let mut states: Vec<(usize, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix("checkpoint-")?.parse().ok()?, entry.path()))
        })
        .collect();
    states.sort();
    states
}

/// Writes a state under a temporary name and renames it, then removes states beyond the limit.
///
/// # Errors
/// The disk is full, or the folder cannot be written.
pub fn save_state(
    recipe: &RlRecipe,
    files: &CheckpointFiles,
    processor: &Processor,
    model: &VisionLanguageModel,
    optimizer: &AdamW,
    state: RunState,
) -> Result<()> {
    let folder = recipe.output_dir.join(format!("checkpoint-{}", state.step));
    let temporary = recipe.output_dir.join(format!("unfinished-{}", state.step));
    checkpoint::save(&temporary, files, processor.config(), &model.valid(), Precision::F32)?;
    checkpoint::write_file_with(&temporary.join(OPTIMIZER), |path| optimizer.save(path))?;
    write_file(&temporary.join(STATE), serde_json::to_string(&state)?.as_bytes())?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&temporary, &folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let states = saved_states(&recipe.output_dir);
    for (_, old) in states.iter().take(states.len().saturating_sub(recipe.save_total_limit.max(1))) {
        fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}
