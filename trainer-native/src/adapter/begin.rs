//! The adapter that a run begins with, and the one that it goes on with.

use super::config::AdapterConfig;
use super::folder::{attach, read_config};
use super::quantized::Quantizer;
use super::settings::AdapterSettings;
use super::target::resolve;
use super::whole::{freeze_rest, is_within};
use crate::checkpoint;
use crate::device::OpenDevice;
use crate::trainee::Frozen;
use anyhow::{Result, bail};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::{Dropout, Linear, LowRank, Magnitude, VisionLanguageModel};
use fine_r1_core::weights::Precision;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

/// What an adapter begins with.
#[derive(Debug, Clone, Copy)]
pub struct Adapting<'run> {
    /// What the recipe says of it.
    pub settings: &'run AdapterSettings,
    /// Folder of the checkpoint that is adapted.
    pub base: &'run Path,
    /// Parts without adapter.
    pub frozen: Frozen,
    /// Of the run.
    pub seed: u64,
}

/// Loads the recipe's checkpoint, frozen and packed where the recipe says so, and gives it an
/// adapter: the one in `saved`, else the one that the recipe names, else a fresh one that changes
/// nothing yet.
///
/// # Errors
/// Checkpoint or adapter cannot be read, or do not fit each other or the recipe.
pub fn begin(
    adapting: Adapting<'_>,
    saved: Option<&Path>,
    config: &ModelConfig,
    device: &OpenDevice,
) -> Result<(VisionLanguageModel, AdapterConfig)> {
    let Adapting { settings, base, .. } = adapting;
    let whole = settings.whole_modules();
    // What is trained is kept in f32, and so is what it meets in the same layer.
    let precision = if whole.is_empty() { device.precision } else { Some(Precision::F32) };
    let device = OpenDevice { device: device.device.clone().autodiff(), precision, ..device.clone() };
    let mut model = match settings.quantizer() {
        None => checkpoint::load_weights(base, config, &device)?,
        Some(quantizer) => load_packed(base, config, &device, quantizer, &whole)?,
    };
    model = model.no_grad();
    let wanted = settings.config(base);
    let named = settings.adapter_name_or_path.as_path();
    let start = saved.or((!named.as_os_str().is_empty()).then_some(named));
    let adapter = if let Some(folder) = start {
        let found = read_config(folder)?;
        if !found.has_kind_of(&wanted) {
            bail!(
                "{} has r {}, lora_alpha {}, use_dora {}, use_rslora {}, modules_to_save `{}`; the recipe says \
                 otherwise\nhint: give lora_rank, lora_alpha, use_dora, use_rslora and additional_target the \
                 adapter's values",
                folder.display(),
                found.r,
                found.lora_alpha,
                found.use_dora,
                found.use_rslora,
                found.modules_to_save.unwrap_or_default().join(",")
            );
        }
        model = attach(model, folder)?.0;
        let AdapterConfig { target_modules, rank_pattern, .. } = found;
        AdapterConfig { target_modules, rank_pattern, ..wanted }
    } else {
        adapt(&mut model, adapting, &device.device)?
    };
    Ok((freeze_rest(model, &whole)?, adapter))
}

/// Gives the layers that the settings name fresh adapters, which change nothing yet.
///
/// # Errors
/// As [`chosen_layers`].
pub fn adapt(
    model: &mut VisionLanguageModel,
    Adapting { settings, base, frozen, seed }: Adapting<'_>,
    device: &Device,
) -> Result<AdapterConfig> {
    let (config, chosen) = (settings.config(base), chosen_layers(model, settings, frozen)?);
    for (stream, (name, layer)) in model.linears_mut().into_iter().enumerate() {
        if chosen.contains(&name) {
            layer.adapter = Some(fresh(layer, &config, seed, stream as u64, device));
        }
    }
    Ok(config.with_targets(&chosen))
}

/// The stored names of the layers that are adapted.
///
/// # Errors
/// The model has none that the settings name, or one is trained as a whole as well.
pub fn chosen_layers(
    model: &mut VisionLanguageModel,
    settings: &AdapterSettings,
    frozen: Frozen,
) -> Result<Vec<String>> {
    let names: Vec<String> = model.linears_mut().into_iter().map(|(name, _)| name).collect();
    let chosen = resolve(&settings.lora_target, frozen, &names)?;
    let whole = settings.whole_modules();
    match chosen.iter().find(|name| is_within(&format!("{name}.weight"), &whole)) {
        Some(both) => bail!(
            "`{both}` is both in `lora_target` and in `additional_target`\nhint: leave it out of one of them"
        ),
        None => Ok(chosen),
    }
}

/// PEFT's beginning: the first factor uniform as torch draws a layer's weights, the second zero.
fn fresh(layer: &Linear, config: &AdapterConfig, seed: u64, stream: u64, device: &Device) -> LowRank {
    let [output, input] = layer.dims();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let bound = (input as f64).powf(-0.5);
    let values: Vec<f32> = (0..config.r * input)
        .map(|_| {
            // 53 random bits make a double from 0 to just below 1.
            let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            ((2.0 * unit - 1.0) * bound) as f32
        })
        .collect();
    let magnitude = config.use_dora.then(|| {
        let squares = layer.row_squares();
        let lengths = Tensor::from_inner(squares.clone().sqrt());
        Magnitude::new(lengths, squares)
    });
    let lora_a = Tensor::from_data(TensorData::new(values, [config.r, input]), device);
    LowRank::new(lora_a, Tensor::zeros([output, config.r], device), config.scale(config.r), magnitude)
}

/// The model for one pass, with the adapters' dropout; the same `pass` drops the same inputs.
#[must_use]
pub fn drop_out(mut model: VisionLanguageModel, share: f64, seed: u64, pass: u64) -> VisionLanguageModel {
    if share > 0.0 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(pass);
        let seed = random.next_u64();
        for (stream, (_, layer)) in model.linears_mut().into_iter().enumerate() {
            let dropout = Dropout { share, seed, stream: stream as u64 };
            layer.adapter = layer.adapter.take().map(|adapter| adapter.with_dropout(Some(dropout)));
        }
    }
    model
}

/// Packs every layer but the head, and what is trained as a whole, as soon as it is read.
fn load_packed(
    folder: &Path,
    config: &ModelConfig,
    device: &OpenDevice,
    quantizer: Quantizer,
    whole: &[String],
) -> Result<VisionLanguageModel> {
    let (mut count, mut before, mut after) = (0, 0, 0);
    let model = checkpoint::load_weights_gradually(folder, config, device, &mut |model| {
        for (name, layer) in model.linears_mut() {
            let is_read = layer.packed.is_none() && layer.weight.is_initialized();
            if is_read && name != "lm_head" && !is_within(&format!("{name}.weight"), whole) {
                let [output, input] = layer.dims();
                let numbers = output * input;
                count += 1;
                before += numbers * device.precision.unwrap_or(Precision::Bf16).bytes();
                after += quantizer.pack(layer);
            }
        }
    })?;
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    eprintln!("{count} weights are held in {:.1} MiB instead of {:.1} MiB", mib(after), mib(before));
    Ok(model)
}
