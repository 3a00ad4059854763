//! One TOML file is one reproducible run. Keys are LlamaFactory's where it has them.

use super::labels::LabelRules;
use super::llamafactory::translate;
use super::{Schedule, learning_rate};
use crate::adapter::{AdapterSettings, FinetuningType, QuantizationType};
use crate::checkpoint::read_text;
use crate::dataset::{Augmentation, MixStrategy};
use crate::optimizer::{AdamWConfig, MatrixRule, Rates};
use crate::trainee::Frozen;
use crate::trunk::Keep;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Deserializer, Serialize};
use std::path::{Path, PathBuf};

/// What counts alike in the loss of a step with several micro-batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Averaging {
    /// Every token that is learnt.
    #[default]
    Token,
    /// Every micro-batch, whose loss is the mean over its tokens, as LlamaFactory has it for models
    /// with images.
    MicroBatch,
}

/// What becomes of samples that are longer than `cutoff_len`. They are never cut: a cut through an image
/// would leave places without features, and a cut answer teaches to stop in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlong {
    /// They are left out and counted.
    #[default]
    Drop,
    /// The run does not begin.
    Refuse,
}

/// What a run teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The model to answer.
    #[default]
    Sft,
    /// The vision tower alone to tell the answers apart.
    Vision,
}

/// A fine-tuning run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SftRecipe {
    /// What is taught: `sft`, or `vision` before it where the tower is fresh.
    pub stage: Stage,
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
    /// Names of data sets to measure by, separated by commas; excludes `val_size`.
    pub eval_dataset: String,
    /// Most rows of each data set, the first ones; 0 takes all.
    pub max_samples: usize,
    /// How several data sets become one: `concat`, `interleave_under`, `interleave_over` or
    /// `interleave_once`.
    pub mix_strategy: MixStrategy,
    /// How often each data set is drawn, as `"0.7,0.3"` or `[0.7, 0.3]`; they take turns where empty.
    #[serde(deserialize_with = "weights")]
    pub interleave_probs: Vec<f64>,
    /// Rows that are put aside to measure by: a share below 1, or a number of rows.
    pub val_size: f64,
    /// Steps between measurements; 0 measures at every checkpoint.
    pub eval_steps: usize,
    /// Samples that are measured together.
    pub per_device_eval_batch_size: usize,
    /// Longest sample in tokens, and longest sequence where samples are packed.
    pub cutoff_len: usize,
    /// What becomes of longer samples: `drop` or `refuse`.
    pub overlong: Overlong,
    /// Train on the last answer of a conversation alone.
    pub mask_history: bool,
    /// Train on questions too.
    pub train_on_prompt: bool,
    /// Several samples in one sequence of at most `cutoff_len` tokens, blind to each other.
    pub packing: bool,
    /// LlamaFactory's name for `packing` that keeps samples apart, which it always does here.
    pub neat_packing: bool,
    /// Samples of about equal length in a micro-batch, so that little is padding.
    pub group_by_length: bool,
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
    /// The vision tower's own highest learning rate; `learning_rate` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision_tower_lr: Option<f64>,
    /// The merger's own highest learning rate; `learning_rate` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mm_projector_lr: Option<f64>,
    /// Steps in which the learning rate rises from zero.
    pub warmup_steps: usize,
    /// The same as a share of all steps, where `warmup_steps` is 0.
    pub warmup_ratio: f64,
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
    /// What counts alike in a step's loss.
    pub loss_averaging: Averaging,
    /// Share of the average of all steps' weights that a step keeps; the average is what the run
    /// writes at its end. 0 keeps none.
    pub ema_decay: f64,
    /// Hold the weights in bf16, with masters in f32 beside the optimizer's moments.
    pub bf16: bool,
    /// Compute what goes on inside blocks a second time for the way back instead of keeping it.
    pub gradient_checkpointing: bool,
    /// Visit the samples in the order of the files.
    pub disable_shuffling: bool,
    /// Makes the run repeatable.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_steps: usize,
    /// Checkpoints that are kept.
    pub save_total_limit: usize,
    /// Steps between log lines.
    pub logging_steps: usize,
    /// Draw the losses at the end of the run, as `loss.svg`.
    pub plot_loss: bool,
    /// Write the checkpoint of the lowest measured loss at the end, not the last.
    pub load_best_model_at_end: bool,
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
    /// Steps in which that strength grows from 0: a fresh tower learns nothing from strong changes.
    pub image_augmentation_warmup: usize,
    /// Share of the images that are mirrored, for texts that say nothing of left and right.
    pub image_mirroring: f64,
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

impl Default for SftRecipe {
    fn default() -> Self {
        Self {
            stage: Stage::Sft,
            model_name_or_path: PathBuf::new(),
            dataset_dir: "data".into(),
            dataset: String::new(),
            media_dir: PathBuf::new(),
            output_dir: PathBuf::new(),
            eval_dataset: String::new(),
            max_samples: 0,
            mix_strategy: MixStrategy::Concat,
            interleave_probs: Vec::new(),
            val_size: 0.0,
            eval_steps: 0,
            per_device_eval_batch_size: 8,
            cutoff_len: 2048,
            overlong: Overlong::Drop,
            mask_history: false,
            train_on_prompt: false,
            packing: false,
            neat_packing: false,
            group_by_length: false,
            num_train_epochs: 3.0,
            max_steps: 0,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            workers: 1,
            optim: MatrixRule::Adamw,
            learning_rate: 5e-5,
            lr_scheduler_type: Schedule::Cosine,
            vision_tower_lr: None,
            mm_projector_lr: None,
            warmup_steps: 0,
            warmup_ratio: 0.0,
            weight_decay: 0.0,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            loss_averaging: Averaging::Token,
            ema_decay: 0.0,
            bf16: false,
            gradient_checkpointing: false,
            disable_shuffling: false,
            seed: 42,
            save_steps: 500,
            save_total_limit: 2,
            logging_steps: 1,
            plot_loss: true,
            load_best_model_at_end: false,
            freeze_vision_tower: true,
            freeze_multi_modal_projector: true,
            freeze_language_model: false,
            image_min_pixels: 0,
            image_max_pixels: 0,
            image_augmentation: 0.0,
            image_augmentation_warmup: 0,
            image_mirroring: 0.0,
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
        let left_out = translate(&mut table).with_context(|| path.display().to_string())?;
        if !left_out.is_empty() {
            eprintln!("note: {}: no meaning here, left out: {}", path.display(), left_out.join(", "));
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
            ("per_device_eval_batch_size", is_count(self.per_device_eval_batch_size)),
            (
                "val_size",
                (
                    (0.0..1.0).contains(&self.val_size)
                        || (self.val_size >= 1.0 && self.val_size.fract() == 0.0),
                    "a share from 0 to below 1, or a whole number of rows",
                ),
            ),
            (
                "interleave_probs",
                (self.interleave_probs.iter().all(|weight| is_above_zero(*weight).0), "numbers above 0"),
            ),
            ("num_train_epochs", is_above_zero(self.num_train_epochs)),
            ("per_device_train_batch_size", is_count(self.per_device_train_batch_size)),
            ("gradient_accumulation_steps", is_count(self.gradient_accumulation_steps)),
            ("workers", is_count(self.workers)),
            (
                "lr_scheduler_type",
                (
                    self.lr_scheduler_type != Schedule::Constant
                        || (self.warmup_steps == 0 && self.warmup_ratio == 0.0),
                    "constant_with_warmup where there is a warm-up",
                ),
            ),
            ("vision_tower_lr", is_above_zero(self.vision_tower_lr.unwrap_or(1.0))),
            ("mm_projector_lr", is_above_zero(self.mm_projector_lr.unwrap_or(1.0))),
            ("warmup_ratio", ((0.0..=1.0).contains(&self.warmup_ratio), "from 0 to 1")),
            ("ema_decay", ((0.0..1.0).contains(&self.ema_decay), "at least 0 and below 1")),
            (
                "eval_dataset",
                (
                    !self.load_best_model_at_end || !self.eval_dataset.is_empty() || self.val_size > 0.0,
                    "names of data sets, or val_size above 0, where load_best_model_at_end is true",
                ),
            ),
            ("save_steps", is_count(self.save_steps)),
            ("freeze_language_model", (self.trains_something(), "false where everything else is frozen")),
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
            ("image_mirroring", ((0.0..=1.0).contains(&self.image_mirroring), "from 0 to 1")),
        ]
        .into_iter()
        .chain(self.adapter().checks())
        {
            if !is_right {
                bail!("`{key}` must be {expected}\nhint: set it in the recipe, or with --set {key}=…");
            }
        }
        self.check_data_keys()
    }

    /// Adapters are trained beside frozen parts, and refuse by themselves where they have no place.
    fn trains_something(&self) -> bool {
        let all_frozen =
            self.freeze_vision_tower && self.freeze_multi_modal_projector && self.freeze_language_model;
        self.finetuning_type != FinetuningType::Full || !all_frozen
    }

    /// Keys that exclude or need one another.
    fn check_data_keys(&self) -> Result<()> {
        let is_plain = self.finetuning_type == FinetuningType::Full && !self.is_packing();
        if self.stage == Stage::Vision && (!is_plain || self.freeze_vision_tower) {
            bail!(
                "the stage `vision` trains the whole vision tower on one picture a row\nhint: set \
                 freeze_vision_tower=false, and leave out finetuning_type and packing"
            );
        }
        if self.mask_history && self.train_on_prompt {
            bail!("`mask_history` and `train_on_prompt` exclude each other\nhint: leave one of them out");
        }
        if self.val_size > 0.0 && !self.eval_dataset.is_empty() {
            bail!("`val_size` and `eval_dataset` exclude each other\nhint: leave one of them out");
        }
        let (weights, sets) = (self.interleave_probs.len(), self.dataset.split(',').count());
        if weights > 0 && self.mix_strategy == MixStrategy::Concat {
            bail!(
                "`interleave_probs` needs a `mix_strategy` that draws\nhint: set mix_strategy=interleave_over"
            );
        }
        if weights > 0 && weights != sets {
            bail!(
                "`interleave_probs` has {weights} numbers for {sets} data sets\nhint: give one for each data set of \
                 `dataset`"
            );
        }
        Ok(())
    }

    /// Which tokens are trained.
    #[must_use]
    pub fn label_rules(&self) -> LabelRules {
        LabelRules { mask_history: self.mask_history, train_on_prompt: self.train_on_prompt }
    }

    /// Whether samples share sequences.
    #[must_use]
    pub fn is_packing(&self) -> bool {
        self.packing || self.neat_packing
    }

    /// How many of `rows` rows are put aside, a share rounded up.
    #[must_use]
    pub fn validation_rows(&self, rows: usize) -> usize {
        if self.val_size < 1.0 {
            (self.val_size * rows as f64).ceil() as usize
        } else {
            (self.val_size as usize).min(rows)
        }
    }

    /// Samples of one step.
    #[must_use]
    pub fn samples_per_step(&self) -> usize {
        self.per_device_train_batch_size * self.gradient_accumulation_steps
    }

    /// Steps of the run, for so many of an epoch.
    #[must_use]
    pub fn total_steps(&self, steps_per_epoch: usize) -> usize {
        match self.max_steps {
            0 => (self.num_train_epochs * steps_per_epoch as f64).ceil() as usize,
            steps => steps,
        }
    }

    /// The learning rates of step `step` (from 0) of `total`.
    #[must_use]
    pub fn rates(&self, step: usize, total: usize) -> Rates {
        let warmup = match self.warmup_steps {
            0 => (self.warmup_ratio * total as f64).ceil() as usize,
            steps => steps,
        };
        let rate = |peak| learning_rate(self.lr_scheduler_type, peak, warmup, step, total);
        Rates {
            vision_tower: rate(self.vision_tower_lr.unwrap_or(self.learning_rate)),
            merger: rate(self.mm_projector_lr.unwrap_or(self.learning_rate)),
            language_model: rate(self.learning_rate),
        }
    }

    /// How images are changed in step `step` (from 0).
    #[must_use]
    pub fn augmentation(&self, step: usize) -> Augmentation {
        let grown = match self.image_augmentation_warmup {
            0 => 1.0,
            steps => (step as f64 / steps as f64).min(1.0),
        };
        Augmentation { strength: self.image_augmentation * grown, mirrored: self.image_mirroring }
    }

    /// Constants of the optimizer.
    #[must_use]
    pub fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            matrices: self.optim,
            beta_1: self.adam_beta1,
            beta_2: self.adam_beta2,
            epsilon: self.adam_epsilon,
            weight_decay: self.weight_decay,
            average_decay: self.ema_decay as f32,
        }
    }

    /// Parts that stay as they are.
    #[must_use]
    pub fn frozen(&self) -> Frozen {
        Frozen {
            vision_tower: self.freeze_vision_tower,
            merger: self.freeze_multi_modal_projector,
            language_model: self.freeze_language_model,
        }
    }

    /// The keys of the adapter.
    #[must_use]
    pub fn adapter(&self) -> AdapterSettings {
        AdapterSettings {
            finetuning_type: self.finetuning_type,
            adapter_name_or_path: self.adapter_name_or_path.clone(),
            lora_rank: self.lora_rank,
            lora_alpha: self.lora_alpha,
            lora_dropout: self.lora_dropout,
            lora_target: self.lora_target.clone(),
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            additional_target: self.additional_target.clone(),
            quantization_bit: self.quantization_bit,
            quantization_type: self.quantization_type,
            double_quantization: self.double_quantization,
        }
    }

    /// What a pass keeps for the way back.
    #[must_use]
    pub fn keep(&self) -> Keep {
        if self.gradient_checkpointing { Keep::BlockInputs } else { Keep::Activations }
    }

    /// The folder of images.
    #[must_use]
    pub fn media_dir(&self) -> &Path {
        if self.media_dir.as_os_str().is_empty() { &self.dataset_dir } else { &self.media_dir }
    }
}

/// Numbers as a list, or as LlamaFactory writes them: in one text, separated by commas.
fn weights<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Weights {
        Text(String),
        One(f64),
        List(Vec<f64>),
    }
    match Weights::deserialize(deserializer)? {
        Weights::List(list) => Ok(list),
        Weights::One(one) => Ok(vec![one]),
        Weights::Text(text) => text
            .split(',')
            .map(str::trim)
            .filter(|number| !number.is_empty())
            .map(|number| {
                number
                    .parse()
                    .map_err(|_| serde::de::Error::custom(format!("interleave_probs: {number} is no number")))
            })
            .collect(),
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

    /// Those of reinforcement learning are read by its own test.
    #[test]
    fn every_recipe_that_is_shipped_is_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let paths = std::fs::read_dir(folder).expect("recipes").map(|entry| entry.expect("an entry").path());
        let paths: Vec<PathBuf> =
            paths.filter(|path| !path.to_string_lossy().ends_with("-tapo.toml")).collect();
        assert!(paths.len() >= 6, "{paths:?}");
        for path in paths {
            SftRecipe::read(&path, &[]).unwrap_or_else(|error| panic!("{error:#}"));
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

    #[test]
    fn weights_are_read_from_a_text_and_from_a_list() {
        for text in ["interleave_probs = \"0.7, 0.3\"", "interleave_probs = [0.7, 0.3]"] {
            let recipe: SftRecipe = toml::from_str(text).expect("a recipe");
            assert_eq!(recipe.interleave_probs, [0.7, 0.3]);
            let written = toml::to_string(&recipe).expect("TOML");
            assert_eq!(toml::from_str::<SftRecipe>(&written).expect("a recipe"), recipe);
        }
        assert!(toml::from_str::<SftRecipe>("interleave_probs = \"x\"").is_err());
    }

    #[test]
    fn llamafactorys_own_stage_is_the_usual_one() {
        let recipe: SftRecipe = toml::from_str("stage = \"sft\"").expect("a recipe");
        assert_eq!(recipe, SftRecipe::default());
        assert!(toml::from_str::<SftRecipe>("stage = \"dpo\"").is_err());
    }

    #[test]
    fn augmentation_grows_to_its_strength() {
        let recipe = SftRecipe { image_augmentation: 0.8, image_augmentation_warmup: 100, ..recipe() };
        for (step, expected) in [(0, 0.0), (50, 0.4), (100, 0.8), (5000, 0.8)] {
            assert!((recipe.augmentation(step).strength - expected).abs() < 1e-12, "{step}");
        }
        let at_once = SftRecipe { image_augmentation_warmup: 0, ..recipe };
        assert!((at_once.augmentation(0).strength - 0.8).abs() < 1e-12);
    }

    #[test]
    fn a_share_of_rows_is_rounded_up_and_a_number_is_a_number() {
        for (val_size, expected) in [(0.0, 0), (0.1, 2), (0.5, 6), (3.0, 3), (40.0, 11)] {
            assert_eq!(SftRecipe { val_size, ..recipe() }.validation_rows(11), expected);
        }
    }
}
