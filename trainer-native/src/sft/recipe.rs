//! One TOML file is one reproducible run. Keys are LlamaFactory's where it has them.

use super::Schedule;
use crate::adapter::QuantizationType;
use crate::checkpoint::read_text;
use crate::optimizer::MatrixRule;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftRecipe {
    /// Folder of the checkpoint to start from.
    pub model_name_or_path: PathBuf,
    /// Folder with `dataset_info.json`.
    pub dataset_dir: PathBuf,
    /// Names of data sets, separated by commas.
    pub dataset: String,
    /// Folder that images' paths are relative to; the data set's folder where empty.
    pub media_dir: PathBuf,
    /// Folder of the run.
    pub output_dir: PathBuf,
    /// Longest sample in tokens; longer ones are left out and counted.
    pub cutoff_len: usize,
    /// How often the data is gone through.
    pub num_train_epochs: f64,
    /// Steps of the run; 0 leaves it to the epochs.
    pub max_steps: usize,
    /// Samples of a micro-batch.
    pub per_device_train_batch_size: usize,
    /// Micro-batches of a step.
    pub gradient_accumulation_steps: usize,
    /// Micro-batches that are computed at the same time, each on a thread of its own.
    pub workers: usize,
    /// What moves the matrices: `adamw` or `muon`.
    pub optim: MatrixRule,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// After the warm-up.
    pub lr_scheduler_type: Schedule,
    /// Steps in which the learning rate rises from zero.
    pub warmup_steps: usize,
    /// Share of a matrix that a step at learning rate 1 takes away.
    pub weight_decay: f32,
    /// Decay of AdamW's first moment.
    pub adam_beta1: f32,
    /// Decay of AdamW's second moment.
    pub adam_beta2: f32,
    /// Keeps AdamW's division finite.
    pub adam_epsilon: f32,
    /// Longest joint gradient; 0 does not clip.
    pub max_grad_norm: f64,
    /// Makes the run repeatable.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_steps: usize,
    /// Checkpoints that are kept.
    pub save_total_limit: usize,
    /// Steps between log lines.
    pub logging_steps: usize,
    /// Leave the vision tower as it is.
    pub freeze_vision_tower: bool,
    /// Leave the merger as it is.
    pub freeze_multi_modal_projector: bool,
    /// Leave the language model as it is.
    pub freeze_language_model: bool,
    /// Smallest area of an image; 0 takes the checkpoint's.
    pub image_min_pixels: u64,
    /// Largest area of an image; 0 takes the checkpoint's.
    pub image_max_pixels: u64,
    /// How strongly images are changed before they are shown, from 0 (not at all) to 1.
    pub image_augmentation: f64,
    /// What is trained: `full` the weights themselves, `lora` an adapter beside them.
    pub finetuning_type: FinetuningType,
    /// Folder of the adapter to begin with; a fresh one where empty.
    pub adapter_name_or_path: PathBuf,
    /// Rank of the adapter.
    pub lora_rank: usize,
    /// Numerator of the adapter's scale; twice the rank where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_alpha: Option<f64>,
    /// Share of the adapter's inputs that are set to zero in training.
    pub lora_dropout: f64,
    /// Layers that are adapted, separated by commas, or `all`.
    pub lora_target: String,
    /// Scale by the root of the rank.
    pub use_rslora: bool,
    /// Train lengths of rows, too.
    pub use_dora: bool,
    /// Modules that are trained as a whole beside the adapter, separated by commas.
    pub additional_target: String,
    /// Bits of a frozen weight, 4 or 8; as the checkpoint has it where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantization_bit: Option<u8>,
    /// What four bits stand for.
    pub quantization_type: QuantizationType,
    /// Quantise the scales of four-bit weights, too.
    pub double_quantization: bool,
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinetuningType {
    /// The weights themselves.
    #[default]
    Full,
    /// An adapter beside frozen weights.
    Lora,
}

impl Default for SftRecipe {
    fn default() -> Self {
        Self {
            model_name_or_path: PathBuf::new(),
            dataset_dir: "data".into(),
            dataset: String::new(),
            media_dir: PathBuf::new(),
            output_dir: PathBuf::new(),
            cutoff_len: 2048,
            num_train_epochs: 3.0,
            max_steps: 0,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            workers: 1,
            optim: MatrixRule::Adamw,
            learning_rate: 5e-5,
            lr_scheduler_type: Schedule::Cosine,
            warmup_steps: 0,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            seed: 42,
            save_steps: 500,
            save_total_limit: 2,
            logging_steps: 10,
            freeze_vision_tower: true,
            freeze_multi_modal_projector: true,
            freeze_language_model: false,
            image_min_pixels: 0,
            image_max_pixels: 0,
            image_augmentation: 0.0,
            finetuning_type: FinetuningType::Full,
            adapter_name_or_path: PathBuf::new(),
            lora_rank: 8,
            lora_alpha: None,
            lora_dropout: 0.0,
            lora_target: "all".into(),
            use_rslora: false,
            use_dora: false,
            additional_target: String::new(),
            quantization_bit: None,
            quantization_type: QuantizationType::Nf4,
            double_quantization: true,
        }
    }
}

impl SftRecipe {
    /// Reads a recipe; `overrides` are `key=value` in TOML's spelling and win.
    ///
    /// # Errors
    /// The file is no TOML, has an unknown key, or lacks what every run needs.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        let text = read_text(path)?;
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let place = error.to_string();
            anyhow!("{} is no TOML\n{}\nhint: correct the line", path.display(), place.trim_end())
        })?;
        for entry in overrides {
            let Some((key, value)) = entry.split_once('=') else {
                bail!("--set {entry}: expected key=value\nhint: for example --set max_steps=100");
            };
            // A bare word stands for itself.
            let parsed = format!("value = {value}").parse::<toml::Table>().ok();
            let value = parsed.and_then(|mut table| table.remove("value"));
            table.insert(key.trim().to_owned(), value.unwrap_or_else(|| entry[key.len() + 1..].into()));
        }
        let recipe: Self = table.try_into().map_err(|error: toml::de::Error| {
            let reason = error.to_string().lines().collect::<Vec<_>>().join(" ");
            anyhow!(
                "{} is no recipe for sft: {reason}\nhint: correct the entry, in the file or in --set",
                path.display()
            )
        })?;
        recipe.check().with_context(|| path.display().to_string())?;
        Ok(recipe)
    }

    fn check(&self) -> Result<()> {
        let is_count = |count: usize| (count > 0, "at least 1");
        let is_above_zero = |number: f64| (number > 0.0 && number.is_finite(), "a number above 0");
        let is_share = |share: f32| ((0.0..1.0).contains(&share), "at least 0 and below 1");
        for (key, (is_right, expected)) in [
            (
                "model_name_or_path",
                (!self.model_name_or_path.as_os_str().is_empty(), "the folder of a checkpoint"),
            ),
            ("dataset", (!self.dataset.is_empty(), "names of data sets")),
            ("output_dir", (!self.output_dir.as_os_str().is_empty(), "the folder of the run")),
            ("cutoff_len", is_count(self.cutoff_len)),
            ("num_train_epochs", is_above_zero(self.num_train_epochs)),
            ("per_device_train_batch_size", is_count(self.per_device_train_batch_size)),
            ("gradient_accumulation_steps", is_count(self.gradient_accumulation_steps)),
            ("workers", is_count(self.workers)),
            ("save_steps", is_count(self.save_steps)),
            ("logging_steps", is_count(self.logging_steps)),
            ("learning_rate", is_above_zero(self.learning_rate)),
            (
                "weight_decay",
                (self.weight_decay >= 0.0 && self.weight_decay.is_finite(), "a number of at least 0"),
            ),
            ("adam_beta1", is_share(self.adam_beta1)),
            ("adam_beta2", is_share(self.adam_beta2)),
            ("adam_epsilon", is_above_zero(self.adam_epsilon.into())),
            ("max_grad_norm", (self.max_grad_norm >= 0.0, "a number of at least 0")),
            ("image_augmentation", ((0.0..=1.0).contains(&self.image_augmentation), "from 0 to 1")),
            ("lora_rank", is_count(self.lora_rank)),
            ("lora_alpha", is_above_zero(self.lora_alpha.unwrap_or(1.0))),
            ("lora_dropout", ((0.0..1.0).contains(&self.lora_dropout), "at least 0 and below 1")),
            ("quantization_bit", (matches!(self.quantization_bit, None | Some(4 | 8)), "4 or 8")),
            (
                "finetuning_type",
                (
                    self.finetuning_type == FinetuningType::Lora
                        || (self.quantization_bit.is_none()
                            && self.adapter_name_or_path.as_os_str().is_empty()),
                    "lora where quantization_bit or adapter_name_or_path is set",
                ),
            ),
        ] {
            if !is_right {
                bail!("`{key}` must be {expected}\nhint: set it in the recipe, or with --set {key}=…");
            }
        }
        Ok(())
    }

    /// Samples of one step.
    #[must_use]
    pub fn samples_per_step(&self) -> usize {
        self.per_device_train_batch_size * self.gradient_accumulation_steps
    }

    /// The folder of images.
    #[must_use]
    pub fn media_dir(&self) -> &Path {
        if self.media_dir.as_os_str().is_empty() { &self.dataset_dir } else { &self.media_dir }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> SftRecipe {
        let names = ["model", "rows", "run"];
        SftRecipe {
            model_name_or_path: names[0].into(),
            dataset: names[1].into(),
            output_dir: names[2].into(),
            ..SftRecipe::default()
        }
    }

    #[test]
    fn epochs_that_are_none_are_refused_whatever_the_steps() {
        assert!(recipe().check().is_ok());
        for epochs in [-1.0, 0.0, f64::NAN, f64::INFINITY] {
            for max_steps in [0, 5] {
                let error =
                    SftRecipe { num_train_epochs: epochs, max_steps, ..recipe() }.check().unwrap_err();
                assert!(
                    error.to_string().starts_with("`num_train_epochs` must be a number above 0\nhint: "),
                    "{error}"
                );
            }
        }
    }
}
