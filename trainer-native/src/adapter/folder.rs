//! An adapter's folder: `adapter_config.json` and `adapter_model.safetensors`.

use super::config::AdapterConfig;
use super::whole::is_within;
use crate::checkpoint::{self, create_folder, read_text, write_file};
use crate::device::OpenDevice;
use anyhow::{Context, Result, anyhow, bail};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Recognizer;
use fine_r1_core::weights::{ADAPTER_FILE, attach_adapter, encode_adapter};
use std::path::Path;

/// An adapter's settings.
pub const CONFIG_FILE: &str = "adapter_config.json";

/// Reads an adapter's settings.
///
/// # Errors
/// The folder is none of an adapter, or of one that is not supported.
pub fn read_config(folder: &Path) -> Result<AdapterConfig> {
    let path = folder.join(CONFIG_FILE);
    if !path.is_file() {
        bail!(
            "{} is missing\nhint: an adapter's folder holds {CONFIG_FILE} and {ADAPTER_FILE}, as PEFT and sft write them",
            path.display()
        );
    }
    let text = read_text(&path)?;
    AdapterConfig::from_json(&text).with_context(|| {
        format!(
            "{} is no adapter that can be used\nhint: LoRA, rsLoRA and DoRA without biases are",
            path.display()
        )
    })
}

/// Gives a model the adapter of a folder.
///
/// # Errors
/// A file is missing or damaged, or the adapter is another model's.
pub fn attach(model: VisionLanguageModel, folder: &Path) -> Result<(VisionLanguageModel, AdapterConfig)> {
    let config = read_config(folder)?;
    let path = folder.join(ADAPTER_FILE);
    if !path.is_file() {
        bail!("{} is missing\nhint: copy the adapter's folder with both of its files", path.display());
    }
    let bytes = checkpoint::map(folder, ADAPTER_FILE)?;
    let model = attach_adapter(model, ADAPTER_FILE, &bytes, |rank| config.scale(rank)).map_err(|error| {
        let base = config.base_model_name_or_path.as_deref().unwrap_or("an unnamed checkpoint");
        anyhow!("{} (trained on {base}): {error}\nhint: {}", path.display(), error.hint())
    })?;
    Ok((model, config))
}

/// Loads a checkpoint, or the embedded model, with an adapter where one is named.
///
/// # Errors
/// Checkpoint or adapter cannot be read, or do not fit each other.
pub fn load_recognizer(
    checkpoint: Option<&Path>,
    adapter: Option<&Path>,
    device: &OpenDevice,
) -> Result<Recognizer> {
    let recognizer = checkpoint::load(checkpoint, device)?;
    let Some(folder) = adapter else { return Ok(recognizer) };
    let (processor, model) = recognizer.into_parts();
    Ok(Recognizer::new(processor, attach(model, folder)?.0))
}

/// Writes what is trained of a model into a folder.
///
/// # Errors
/// The disk is full, or the folder cannot be written.
pub fn save(folder: &Path, config: &AdapterConfig, model: &VisionLanguageModel) -> Result<()> {
    create_folder(folder)?;
    let whole = config.modules_to_save.as_deref().unwrap_or_default();
    let bytes = pollster::block_on(encode_adapter(model, |name| is_within(name, whole)))
        .map_err(|error| anyhow!("the device failed: {error:?}"))?;
    write_file(&folder.join(ADAPTER_FILE), &bytes)?;
    write_file(&folder.join(CONFIG_FILE), config.to_json().as_bytes())
}
