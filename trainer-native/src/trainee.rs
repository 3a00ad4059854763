//! The model that a run trains: its files, with the run's image sizes, the parts that stay as they are, and what
//! is loaded and saved of it.

use crate::adapter::{self, AdapterConfig, Adapting};
use crate::checkpoint::{self, explain, read_files};
use crate::device::OpenDevice;
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use std::path::Path;

/// Parts that stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frozen {
    /// Patch embedding and blocks of the vision tower.
    pub vision_tower: bool,
    /// What brings its features to the language model.
    pub merger: bool,
    /// The decoder and its head.
    pub language_model: bool,
}

impl Frozen {
    /// A model whose other parts are trained.
    #[must_use]
    pub fn freeze(self, mut model: VisionLanguageModel) -> VisionLanguageModel {
        if self.vision_tower {
            model.visual.patch_embed = model.visual.patch_embed.no_grad();
            model.visual.blocks = model.visual.blocks.into_iter().map(Module::no_grad).collect();
        }
        if self.merger {
            model.visual.merger = model.visual.merger.no_grad();
        }
        if self.language_model {
            model.model = model.model.no_grad();
            model.lm_head = model.lm_head.map(Module::no_grad);
        }
        model
    }
}

/// The files of the checkpoint to start from; image sizes other than 0 become those of the checkpoint
/// that is written.
///
/// # Errors
/// A file is missing or malformed.
pub fn read_processor(
    folder: &Path,
    min_pixels: u64,
    max_pixels: u64,
) -> Result<(CheckpointFiles, Processor)> {
    let mut files = read_files(folder)?;
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    if min_pixels == 0 && max_pixels == 0 {
        return Ok((files, processor));
    }
    let mut preprocessor = processor.preprocessor().clone();
    if min_pixels > 0 {
        preprocessor.min_pixels = min_pixels;
    }
    if max_pixels > 0 {
        preprocessor.max_pixels = max_pixels;
    }
    files.set_image_settings(&preprocessor);
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    Ok((files, processor))
}

/// The model to train, which records, from the start of a run or from what it `saved`, and the settings of its
/// adapter where one is trained. Weights that are trained themselves are held in `precision`.
///
/// # Errors
/// Checkpoint or adapter cannot be read, or do not fit each other.
pub fn load(
    adapting: Adapting<'_>,
    saved: Option<&Path>,
    precision: Precision,
    config: &ModelConfig,
    device: &OpenDevice,
) -> Result<(VisionLanguageModel, Option<AdapterConfig>)> {
    if adapting.settings.is_lora() {
        let (model, adapter) = adapter::begin(adapting, saved, config, device)?;
        return Ok((model, Some(adapter)));
    }
    let device =
        OpenDevice { device: device.device.clone().autodiff(), precision: Some(precision), ..device.clone() };
    let model = checkpoint::load_weights(saved.unwrap_or(adapting.base), config, &device)?;
    Ok((adapting.frozen.freeze(model), None))
}

/// How what is trained is written.
#[derive(Debug)]
pub struct Keeper<'run> {
    /// The checkpoint's files but the weights.
    pub files: &'run CheckpointFiles,
    /// Sizes of the model.
    pub config: &'run ModelConfig,
    /// What is trained, where it is not the model itself.
    pub adapter: Option<&'run AdapterConfig>,
    /// Of weights that are trained themselves.
    pub precision: Precision,
}

impl Keeper<'_> {
    /// Writes a checkpoint, or the adapter where one is trained.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn save(&self, folder: &Path, model: &VisionLanguageModel) -> Result<()> {
        match self.adapter {
            Some(adapter) => adapter::save(folder, adapter, model),
            None => checkpoint::save(folder, self.files, self.config, model, self.precision),
        }
    }
}
