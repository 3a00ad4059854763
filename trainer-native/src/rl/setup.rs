//! What a run is made of before its first step: checkpoint, reference, optimizer.

use super::question::Question;
use super::recipe::RlRecipe;
use super::reference::Reference;
use super::state::RunState;
use crate::adapter::AdapterConfig;
use crate::checkpoint;
use crate::device::OpenDevice;
use crate::optimizer::AdamW;
use crate::run_folder::{OPTIMIZER, Start, damaged};
use crate::trainee::{self, read_processor};
use anyhow::{Context, Result};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use std::path::Path;

/// Models and what belongs to them.
pub struct Opened {
    /// The checkpoint's files but the weights.
    pub files: CheckpointFiles,
    /// Turns questions into prompts.
    pub processor: Processor,
    /// The policy; it records.
    pub model: VisionLanguageModel,
    /// What is trained, where it is not the policy's own weights.
    pub adapter: Option<AdapterConfig>,
    /// What the policy is held near.
    pub reference: Reference,
    /// Its state is that of the folder.
    pub optimizer: AdamW,
}

/// Opens the checkpoint that a run begins with or goes on from.
///
/// # Errors
/// A file is missing or damaged.
pub fn open(recipe: &RlRecipe, start: &Start<RunState>, device: &OpenDevice) -> Result<Opened> {
    let base = &recipe.model_name_or_path;
    let (files, processor) = read_processor(base, recipe.image_min_pixels, recipe.image_max_pixels)?;
    let saved = match start {
        Start::Anew => None,
        Start::From { folder, .. } => Some(folder.as_path()),
    };
    let adapting = recipe.adapting(&recipe.adapter);
    let (model, adapter) = trainee::load(adapting, saved, recipe.precision(), processor.config(), device)?;
    let reference = Reference::open(recipe, processor.config(), device)?;
    let optimizer = open_optimizer(recipe, saved, device)?;
    Ok(Opened { files, processor, model, adapter, reference, optimizer })
}

/// Steps of the run: as many as the epochs have questions for, at least one.
#[must_use]
pub fn total_steps(recipe: &RlRecipe, questions: &[Question]) -> usize {
    match recipe.max_steps {
        0 => {
            let asked = recipe.total_epochs * questions.len() as f64;
            ((asked / recipe.rollout.prompts_per_step as f64) as usize).max(1)
        }
        steps => steps,
    }
}

fn open_optimizer(recipe: &RlRecipe, saved: Option<&Path>, device: &OpenDevice) -> Result<AdamW> {
    let config = recipe.update.optimizer();
    match saved {
        None => Ok(AdamW::new(config)),
        Some(folder) => AdamW::load(config, &checkpoint::map(folder, OPTIMIZER)?, &device.device)
            .with_context(|| damaged(&folder.join(OPTIMIZER))),
    }
}
