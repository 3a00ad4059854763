//! One TOML file is one reproducible run. All objectives share one form; the verb gives the defaults.
//!
//! Keys of EasyR1 are kept where they say what they mean:
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/examples/config.yaml>.

use super::advantage::Estimator;
use super::entropy::EntropySettings;
use super::filter::FilterSettings;
use super::kl::{KlPlace, KlSettings};
use super::objective::{LossSettings, Objective};
use super::overlay::{merge, set};
use super::parity::{Parity, Preset};
use super::question::DataSettings;
use super::reward::RewardSettings;
use super::rollout::RolloutSettings;
use super::schedule::NoiseSettings;
use super::surrogate::PolicySettings;
use super::update::UpdateSettings;
use super::views::{ContrastView, MaskSettings, Picture, RolloutView};
use crate::adapter::{AdapterSettings, Adapting};
use crate::checkpoint::read_text;
use crate::trainee::Frozen;
use anyhow::{Context, Result, anyhow, bail, ensure};
use fine_r1_core::weights::Precision;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A run of reinforcement learning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RlRecipe {
    /// What is minimised: the verb's, and written down so that a run is not gone on with by another.
    pub objective: Objective,
    /// Folder of the checkpoint to start from, which is also the reference.
    pub model_name_or_path: PathBuf,
    /// Folder of the run.
    pub output_dir: PathBuf,
    /// Makes the run repeatable.
    pub seed: u64,
    /// How often the data is gone through; what dynamic sampling leaves out comes on top.
    pub total_epochs: f64,
    /// Steps of the run; 0 leaves it to the epochs.
    pub max_steps: usize,
    /// Steps between checkpoints.
    pub save_steps: usize,
    /// Checkpoints that are kept.
    pub save_total_limit: usize,
    /// Steps between reports with sample answers; 0 writes none.
    pub report_steps: usize,
    /// Micro-batches and rollouts that are computed at the same time, each on a thread of its own.
    pub workers: usize,
    /// Hold the weights in bf16, with masters in f32 beside the optimizer's moments.
    pub bf16: bool,
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
    /// What is trained, and in which form the rest is held. Its keys may also stand at the top, as in recipes
    /// for `sft`.
    pub adapter: AdapterSettings,
    /// Where the expectation of an answer comes from.
    pub advantage: Estimator,
    /// Rows.
    pub data: DataSettings,
    /// How answers are drawn.
    pub rollout: RolloutSettings,
    /// How weights are moved.
    pub update: UpdateSettings,
    /// Pictures that answers are drawn from.
    pub views: BTreeMap<Picture, RolloutView>,
    /// Pictures that answers are held against.
    pub contrasts: BTreeMap<Picture, ContrastView>,
    /// The mask.
    pub mask: MaskSettings,
    /// The noise.
    pub noise: NoiseSettings,
    /// What an answer is worth.
    pub reward: RewardSettings,
    /// Which questions are left out.
    pub filter: FilterSettings,
    /// The surrogate.
    pub policy: PolicySettings,
    /// The distance to the reference.
    pub kl: KlSettings,
    /// The entropies.
    pub entropy: EntropySettings,
    /// Released, corrected, or in between.
    pub parity: Parity,
}

impl Default for RlRecipe {
    fn default() -> Self {
        Self {
            objective: Objective::Grpo,
            model_name_or_path: PathBuf::new(),
            output_dir: PathBuf::new(),
            seed: 1,
            total_epochs: 10.0,
            max_steps: 0,
            save_steps: 5,
            save_total_limit: 3,
            report_steps: 0,
            workers: 1,
            bf16: false,
            freeze_vision_tower: false,
            freeze_multi_modal_projector: false,
            freeze_language_model: false,
            image_min_pixels: 0,
            image_max_pixels: 0,
            adapter: AdapterSettings::default(),
            advantage: Estimator::Grpo,
            data: DataSettings::default(),
            rollout: RolloutSettings::default(),
            update: UpdateSettings::default(),
            views: BTreeMap::new(),
            contrasts: BTreeMap::new(),
            mask: MaskSettings::default(),
            noise: NoiseSettings::default(),
            reward: RewardSettings::default(),
            filter: FilterSettings::default(),
            policy: PolicySettings::default(),
            kl: KlSettings::default(),
            entropy: EntropySettings::default(),
            parity: Parity::default(),
        }
    }
}

impl RlRecipe {
    /// Reads a recipe for an objective; `overrides` are `table.key=value` in TOML's spelling and win.
    ///
    /// # Errors
    /// The file is no TOML, has an unknown key, or lacks what every run needs.
    pub fn read(objective: Objective, path: &Path, overrides: &[String]) -> Result<Self> {
        let text = read_text(path)?;
        let given: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let place = error.to_string();
            anyhow!("{} is no TOML\n{}\nhint: correct the line", path.display(), place.trim_end())
        })?;
        let given = override_with(given, overrides)?;
        refuse_idle_adapter(&given).with_context(|| path.display().to_string())?;
        let recipe = Self::resolve(objective, given).map_err(|error| {
            let reason = error.to_string().lines().collect::<Vec<_>>().join(" ");
            anyhow!(
                "{} is no recipe for {}: {reason}\nhint: correct the entry, in the file or in --set",
                path.display(),
                objective.name()
            )
        })?;
        ensure!(
            recipe.objective == objective,
            "{} is a recipe for {}, not for {}\nhint: run `{}`, or leave `objective` out of it",
            path.display(),
            recipe.objective.name(),
            objective.name(),
            recipe.objective.name()
        );
        recipe.check().with_context(|| path.display().to_string())?;
        Ok(recipe)
    }

    /// Lays what was given over the objective's defaults, and that over a preset where one is named.
    fn resolve(objective: Objective, mut given: toml::Table) -> Result<Self> {
        let mut defaults = toml::Table::try_from(objective.defaults())?;
        if let Some(toml::Value::Table(parity)) = given.get_mut("parity")
            && let Some(preset) = parity.remove("preset")
        {
            let preset: Preset = preset.try_into()?;
            defaults
                .insert("parity".into(), toml::Value::try_from(preset.apply(objective.defaults().parity))?);
        }
        merge(&mut defaults, gather_adapter(given)?);
        Ok(defaults.try_into()?)
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

    /// What an adapter of these settings begins with.
    #[must_use]
    pub fn adapting<'run>(&'run self, settings: &'run AdapterSettings) -> Adapting<'run> {
        Adapting { settings, base: &self.model_name_or_path, frozen: self.frozen(), seed: self.seed }
    }

    /// How weights that are trained are held and written.
    #[must_use]
    pub fn precision(&self) -> Precision {
        if self.bf16 { Precision::Bf16 } else { Precision::F32 }
    }

    /// Pictures that answers are drawn from or learnt from.
    #[must_use]
    pub fn shown(&self) -> Vec<Picture> {
        let mut shown = BTreeSet::new();
        for (picture, view) in self.active_views() {
            shown.extend([picture, view.condition(picture)]);
        }
        shown.into_iter().collect()
    }

    /// Answers to a question, over all views.
    #[must_use]
    pub fn answers_per_prompt(&self) -> usize {
        self.views.values().map(|view| view.answers).sum()
    }

    /// The views that have answers.
    pub fn active_views(&self) -> impl Iterator<Item = (Picture, RolloutView)> {
        self.views.iter().filter(|(_, view)| view.answers > 0).map(|(picture, view)| (*picture, *view))
    }

    /// The contrasts that weigh anything, or are measured all the same.
    pub fn active_contrasts(&self) -> impl Iterator<Item = (Picture, ContrastView)> {
        let weighs = |view: &ContrastView| view.coefficient != 0.0 || view.measured;
        self.contrasts.iter().filter(move |(_, view)| weighs(view)).map(|(picture, view)| (*picture, *view))
    }

    /// Questions of an update.
    #[must_use]
    pub fn prompts_per_update(&self) -> usize {
        match self.update.prompts_per_update {
            0 => self.rollout.prompts_per_step,
            count => count.min(self.rollout.prompts_per_step),
        }
    }

    /// Questions that are drawn at a time.
    #[must_use]
    pub fn prompts_per_try(&self) -> usize {
        match self.rollout.prompts_per_try {
            0 => self.rollout.prompts_per_step,
            count => count.min(self.rollout.prompts_per_step),
        }
    }

    /// Updates of a step that is full.
    #[must_use]
    pub fn updates_per_step(&self) -> usize {
        self.rollout.prompts_per_step.div_ceil(self.prompts_per_update()) * self.update.passes
    }

    /// Whether answers are scored before the updates: a step of one update begins where its update does, and
    /// needs no scores of its own for that.
    #[must_use]
    pub fn scores_before_updates(&self) -> bool {
        self.updates_per_step() > 1 || self.charges_in_reward()
    }

    /// Whether the distance to the reference is taken from rewards.
    #[must_use]
    pub fn charges_in_reward(&self) -> bool {
        self.needs_reference() && self.kl.place == KlPlace::Reward
    }

    /// Whether the reference is the policy with its adapter switched off. Where modules are trained as a whole it
    /// is a model of its own, as it is without adapter.
    #[must_use]
    pub fn refers_to_itself(&self) -> bool {
        self.adapter.is_lora() && self.adapter.whole_modules().is_empty()
    }

    /// Whether a reference model is needed.
    #[must_use]
    pub fn needs_reference(&self) -> bool {
        self.kl.coefficient != 0.0
    }

    /// The terms of the loss, with the coefficient of the distance as it is now.
    #[must_use]
    pub fn loss(&self, kl_coefficient: f64) -> LossSettings<'_> {
        LossSettings {
            policy: &self.policy,
            kl_coefficient: if self.kl.place == KlPlace::Loss { kl_coefficient } else { 0.0 },
            kl_estimator: self.kl.estimator,
            entropy: &self.entropy,
            parity: &self.parity,
        }
    }
}

/// Sets entries, last wins, wherever keys of the adapter stand.
fn override_with(given: toml::Table, overrides: &[String]) -> Result<toml::Table> {
    let mut given = gather_adapter(given)?;
    for entry in overrides {
        set(&mut given, entry)?;
        given = gather_adapter(given)?;
    }
    Ok(given)
}

/// Settings of an adapter that nobody asked for would be passed over without a word. A recipe that a run has
/// written says that it trains the weights themselves.
fn refuse_idle_adapter(given: &toml::Table) -> Result<()> {
    let Some(adapter) = given.get("adapter").and_then(toml::Value::as_table) else { return Ok(()) };
    if let Some(key) = adapter.keys().next()
        && !adapter.contains_key("finetuning_type")
    {
        bail!(
            "`{key}` is a setting of an adapter, and `finetuning_type` asks for none\nhint: set finetuning_type=lora, or \
             leave {key} out"
        );
    }
    Ok(())
}

/// Puts keys of the adapter that stand at the top into their table.
fn gather_adapter(mut given: toml::Table) -> Result<toml::Table> {
    // All keys, also those that are left out where they have no value.
    let every =
        AdapterSettings { lora_alpha: Some(1.0), quantization_bit: Some(4), ..AdapterSettings::default() };
    let mut found = toml::Table::new();
    for (key, _) in toml::Table::try_from(every)? {
        if let Some(value) = given.remove(&key) {
            found.insert(key, value);
        }
    }
    if !found.is_empty() {
        merge(&mut given, toml::Table::from_iter([("adapter".to_owned(), found.into())]));
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::average::Average;
    use crate::rl::contrast::{ContrastClamp, ContrastRatio};
    use crate::rl::entropy::EntropyKind;
    use crate::rl::reward::AccuracyMode;

    fn resolve(objective: Objective, text: &str) -> Result<RlRecipe> {
        RlRecipe::resolve(objective, text.parse()?)
    }

    #[test]
    fn what_is_given_wins_over_the_objective() {
        let recipe = resolve(Objective::Tapo, "[views.positive]\nanswers = 3\n[policy]\nclip_high = 0.4")
            .expect("one");
        assert_eq!(recipe.answers_per_prompt(), 8);
        assert_eq!((recipe.policy.clip_low, recipe.policy.clip_high), (0.2, 0.4));
        assert_eq!(recipe.active_contrasts().count(), 1);
        let inter_only = resolve(Objective::Tapo, "[views.positive]\nanswers = 0").expect("one");
        assert_eq!(inter_only.active_views().count(), 1);
        let intra_only = resolve(Objective::Tapo, "[contrasts.negative]\ncoefficient = 0.0").expect("one");
        assert_eq!(intra_only.active_contrasts().count(), 0);
    }

    #[test]
    fn presets_set_all_switches_and_single_switches_win() {
        let of = |text: &str| resolve(Objective::Tapo, text).expect("a recipe").parity;
        assert_eq!(of(""), Parity::default());
        assert_eq!(of("").average, Average::Token);
        let released = of("[parity]\npreset = \"released\"");
        assert_eq!(released, Preset::Released.apply(Parity::default()));
        assert_eq!(released.average, Average::MicroBatchToken);
        assert_eq!(released.contrast_clamp, ContrastClamp::Released);
        let mixed = of("[parity]\npreset = \"corrected\"\ncontrast_ratio = \"printed\"");
        assert_eq!(mixed.contrast_ratio, ContrastRatio::Printed);
        assert_eq!((mixed.contrast_clamp, mixed.contrast_gradient), (ContrastClamp::Soft, true));
        assert_eq!(mixed.accuracy, AccuracyMode::SingleLabel);
        assert!(resolve(Objective::Tapo, "[parity]\npreset = \"printed\"").is_err());
        let noisy = resolve(Objective::NoisyRollout, "[parity]\npreset = \"released\"").expect("a recipe");
        assert_eq!(noisy.parity.entropy, EntropyKind::Distribution, "its code takes entropy from logits");
    }

    #[test]
    fn keys_of_the_adapter_stand_at_the_top_or_in_their_table() {
        let of = |text: &str| resolve(Objective::Grpo, text).expect("a recipe").adapter;
        let expected = AdapterSettings { lora_rank: 4, lora_alpha: Some(8.0), ..AdapterSettings::default() };
        assert_eq!(of("lora_rank = 4\nlora_alpha = 8.0"), expected);
        assert_eq!(of("[adapter]\nlora_rank = 4\nlora_alpha = 8.0"), expected);
        assert_eq!(of("lora_alpha = 8.0\n[adapter]\nlora_rank = 4"), expected);
        assert!(resolve(Objective::Grpo, "[adapter]\nrank = 4").is_err());
    }

    #[test]
    fn what_is_set_last_wins_wherever_keys_of_the_adapter_stand() {
        let rank = |text: &str, overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|entry| (*entry).to_owned()).collect();
            let given = override_with(text.parse().expect("TOML"), &overrides).expect("entries");
            RlRecipe::resolve(Objective::Grpo, given).expect("a recipe").adapter.lora_rank
        };
        assert_eq!(rank("lora_rank = 4", &["adapter.lora_rank=8"]), 8);
        assert_eq!(rank("[adapter]\nlora_rank = 4", &["lora_rank=8"]), 8);
        assert_eq!(rank("", &["lora_rank=2", "adapter.lora_rank=16", "lora_rank=32"]), 32);
    }

    #[test]
    fn an_adapter_that_nobody_asked_for_is_refused() {
        let of = |text: &str| {
            let given = override_with(text.parse().expect("TOML"), &[]).expect("entries");
            refuse_idle_adapter(&given).map_err(|error| error.to_string())
        };
        for given in
            ["", "finetuning_type = \"lora\"\nlora_rank = 4", "finetuning_type = \"full\"\nlora_rank = 4"]
        {
            assert_eq!(of(given), Ok(()), "{given}");
        }
        for (given, key) in
            [("lora_rank = 4", "lora_rank"), ("[adapter]\nlora_target = \"all\"", "lora_target")]
        {
            let error = of(given).expect_err(given);
            assert!(error.starts_with(&format!("`{key}`")) && error.contains("\nhint: "), "{error}");
        }
    }

    #[test]
    fn every_recipe_that_is_shipped_is_one() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("recipes") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
            if name.ends_with("-tapo.toml") {
                RlRecipe::read(Objective::Tapo, &path, &[])
                    .unwrap_or_else(|error| panic!("{name}: {error:#}"));
                found.push(name);
            }
        }
        assert!(found.len() >= 3, "{found:?}");
    }

    /// Appendix C of the paper, and the script that was released for it.
    #[test]
    fn the_papers_recipes_have_the_papers_settings() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        for (size, epochs, per_step, per_try, per_update) in
            [("3b", 10.0, 384, 128, 128), ("7b", 5.0, 192, 64, 64)]
        {
            let path = folder.join(format!("fine-r1-{size}-tapo.toml"));
            let recipe = RlRecipe::read(Objective::Tapo, &path, &[]).expect("a recipe");
            assert_eq!(recipe.total_epochs, epochs);
            let RolloutSettings { prompts_per_step, prompts_per_try, .. } = recipe.rollout;
            assert_eq!((prompts_per_step, prompts_per_try), (per_step, per_try));
            assert_eq!((recipe.prompts_per_update(), recipe.updates_per_step()), (per_update, 3));
            assert_eq!((recipe.answers_per_prompt(), recipe.filter.max_tries), (10, 20));
            assert!(recipe.bf16 && !recipe.freeze_vision_tower && recipe.filter.enabled);
        }
    }

    #[test]
    fn a_recipe_says_which_objective_it_is_of() {
        let recipe = resolve(Objective::Papo, "").expect("one");
        assert_eq!(recipe.objective, Objective::Papo);
        let folder = std::env::temp_dir().join(format!("objective-{}", std::process::id()));
        let named = "objective = \"tapo\"\nmodel_name_or_path = \"a\"\noutput_dir = \"b\"\n[data]\ntrain_files = [\"c\"]";
        std::fs::write(&folder, named).expect("room");
        assert!(RlRecipe::read(Objective::Tapo, &folder, &[]).is_ok());
        let error = RlRecipe::read(Objective::Dapo, &folder, &[]).expect_err("another").to_string();
        assert!(error.contains("a recipe for tapo, not for dapo\nhint: "), "{error}");
        std::fs::remove_file(folder).expect("our file");
    }

    #[test]
    fn every_objective_can_be_written_and_read_back() {
        for objective in
            [Objective::Grpo, Objective::Dapo, Objective::Papo, Objective::NoisyRollout, Objective::Tapo]
        {
            let recipe = objective.defaults();
            let text = toml::to_string_pretty(&recipe).expect("TOML");
            assert_eq!(resolve(objective, &text).expect("a recipe"), recipe, "{objective:?}");
        }
    }
}
