//! What a run is made of before its first step: checkpoint, reference, optimizer.

use super::question::Question;
use super::recipe::RlRecipe;
use super::state::RunState;
use crate::checkpoint;
use crate::device::OpenDevice;
use crate::optimizer::{AdamW, AdamWConfig};
use crate::run_folder::{OPTIMIZER, Start, damaged};
use crate::trainee::{Frozen, read_processor};
use anyhow::{Context, Result};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use std::path::Path;

/// Models and what belongs to them.
pub struct Opened {
    /// The checkpoint's files but the weights.
    pub files: CheckpointFiles,
    /// Turns questions into prompts.
    pub processor: Processor,
    /// The policy; it records.
    pub model: VisionLanguageModel,
    /// What the policy is held near, where a recipe asks for it.
    pub reference: Option<VisionLanguageModel>,
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
    // Weights that are trained are kept in f32.
    let plain = OpenDevice { precision: Some(Precision::F32), ..device.clone() };
    let training = OpenDevice { device: device.device.clone().autodiff(), ..plain.clone() };
    let frozen = Frozen {
        vision_tower: recipe.freeze_vision_tower,
        merger: recipe.freeze_multi_modal_projector,
        language_model: recipe.freeze_language_model,
    };
    let model = checkpoint::load_weights(saved.unwrap_or(base), processor.config(), &training)?;
    let model = frozen.freeze(model);
    let reference = match recipe.needs_reference() {
        true => Some(checkpoint::load_weights(base, processor.config(), &plain)?),
        false => None,
    };
    let optimizer = open_optimizer(recipe, saved, device)?;
    Ok(Opened { files, processor, model, reference, optimizer })
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
    let update = &recipe.update;
    let config = AdamWConfig {
        matrices: update.optim,
        beta_1: update.adam_beta1,
        beta_2: update.adam_beta2,
        epsilon: update.adam_epsilon,
        weight_decay: update.weight_decay,
        average_decay: 0.0,
    };
    match saved {
        None => Ok(AdamW::new(config)),
        Some(folder) => AdamW::load(config, &checkpoint::map(folder, OPTIMIZER)?, &device.device)
            .with_context(|| damaged(&folder.join(OPTIMIZER))),
    }
}
