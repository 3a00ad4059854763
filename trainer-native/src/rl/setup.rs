//! What a run is made of before its first step: checkpoint, reference, optimizer.

use super::question::Question;
use super::recipe::RlRecipe;
use super::state::{OPTIMIZER, RunState, damaged};
use crate::checkpoint::{self, explain, read_files};
use crate::device::OpenDevice;
use crate::optimizer::{AdamW, AdamWConfig};
use anyhow::{Context, Result};
use burn::module::Module;
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
pub fn open(recipe: &RlRecipe, folder: &Path, state: RunState, device: &OpenDevice) -> Result<Opened> {
    let (files, processor) = open_processor(recipe)?;
    // Weights that are trained are kept in f32.
    let plain = OpenDevice { precision: Some(Precision::F32), ..device.clone() };
    let training = OpenDevice { device: device.device.clone().autodiff(), ..plain.clone() };
    let model = freeze(checkpoint::load_weights(folder, processor.config(), &training)?, recipe);
    let reference = match recipe.needs_reference() {
        true => Some(checkpoint::load_weights(&recipe.model_name_or_path, processor.config(), &plain)?),
        false => None,
    };
    let optimizer = open_optimizer(recipe, folder, state, device)?;
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

fn open_optimizer(recipe: &RlRecipe, folder: &Path, state: RunState, device: &OpenDevice) -> Result<AdamW> {
    let update = &recipe.update;
    let config = AdamWConfig {
        matrices: update.optim,
        beta_1: update.adam_beta1,
        beta_2: update.adam_beta2,
        epsilon: update.adam_epsilon,
        weight_decay: update.weight_decay,
        average_decay: 0.0,
    };
    match state.step {
        0 => Ok(AdamW::new(config)),
        _ => AdamW::load(config, &checkpoint::map(folder, OPTIMIZER)?, &device.device)
            .with_context(|| damaged(&folder.join(OPTIMIZER))),
    }
}

/// The checkpoint's files; the image sizes of the recipe become those of the checkpoint that is written.
fn open_processor(recipe: &RlRecipe) -> Result<(CheckpointFiles, Processor)> {
    let folder = &recipe.model_name_or_path;
    let mut files = read_files(folder)?;
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    if recipe.image_min_pixels == 0 && recipe.image_max_pixels == 0 {
        return Ok((files, processor));
    }
    let mut preprocessor = processor.preprocessor().clone();
    if recipe.image_min_pixels > 0 {
        preprocessor.min_pixels = recipe.image_min_pixels;
    }
    if recipe.image_max_pixels > 0 {
        preprocessor.max_pixels = recipe.image_max_pixels;
    }
    files.preprocessor = serde_json::to_string_pretty(&preprocessor)? + "\n";
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    Ok((files, processor))
}

fn freeze(mut model: VisionLanguageModel, recipe: &RlRecipe) -> VisionLanguageModel {
    if recipe.freeze_vision_tower {
        model.visual.patch_embed = model.visual.patch_embed.no_grad();
        model.visual.blocks = model.visual.blocks.into_iter().map(Module::no_grad).collect();
    }
    if recipe.freeze_multi_modal_projector {
        model.visual.merger = model.visual.merger.no_grad();
    }
    if recipe.freeze_language_model {
        model.model = model.model.no_grad();
        model.lm_head = model.lm_head.map(Module::no_grad);
    }
    model
}
