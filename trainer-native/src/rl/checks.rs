//! What a recipe may say: entries that no run can make sense of are refused by their key.

use super::recipe::RlRecipe;
use crate::entries::entries;
use anyhow::{Result, bail};
use fine_r1_core::image::perturb::NOISE_STEPS;
use std::path::Path;

/// The lowest temperature: scores are divided by it, and 16-bit ones have three digits.
const LOWEST_TEMPERATURE: f64 = 1e-3;
/// So long a judge may take, in seconds: more than a year.
const LONGEST_TIMEOUT_SECS: f64 = 1e8;

/// Whether an entry makes sense, and what was expected of it.
type Check = (bool, &'static str);

impl RlRecipe {
    /// Refuses entries that make no sense.
    ///
    /// # Errors
    /// There is one; the message names its key.
    pub fn check(&self) -> Result<()> {
        let is_odd = |value: &toml::Value| value.as_float().is_some_and(|number| !number.is_finite());
        let entries = entries(toml::Table::try_from(self)?);
        if let Some((key, _)) = entries.iter().find(|(_, value)| is_odd(value)) {
            bail!("`{key}` must be a finite number\nhint: set it in the recipe, or with --set {key}=…");
        }
        let all = self.run_checks().into_iter().chain(self.update_checks()).chain(self.loss_checks());
        let adapter = self.adapter.checks().map(|(key, check)| (key.to_owned(), check));
        for (key, (is_right, expected)) in all.chain(adapter) {
            if !is_right {
                bail!("`{key}` must be {expected}\nhint: set it in the recipe, or with --set {key}=…");
            }
        }
        Ok(())
    }

    fn run_checks(&self) -> Vec<(String, Check)> {
        let answers = self.answers_per_prompt();
        let all_frozen =
            self.freeze_vision_tower && self.freeze_multi_modal_projector && self.freeze_language_model;
        let timeout = self.reward.command.timeout_secs;
        let rollout = &self.rollout;
        named([
            ("model_name_or_path", (is_named(&self.model_name_or_path), "the folder of a checkpoint")),
            ("output_dir", (is_named(&self.output_dir), "the folder of the run")),
            ("data.train_files", (!self.data.train_files.is_empty(), "a list of files with rows")),
            ("total_epochs", above_zero(self.total_epochs)),
            ("save_steps", count(self.save_steps)),
            ("workers", count(self.workers)),
            ("freeze_language_model", (!all_frozen, "false where everything else is frozen")),
            ("rollout.prompts_per_step", count(rollout.prompts_per_step)),
            (
                "rollout.temperature",
                (rollout.temperature >= LOWEST_TEMPERATURE, "at least 0.001: answers are drawn, and differ"),
            ),
            ("rollout.top_p", (rollout.top_p > 0.0 && rollout.top_p <= 1.0, "above 0 and at most 1")),
            ("rollout.max_new_tokens", count(rollout.max_new_tokens)),
            ("rollout.decode_batch", count(rollout.decode_batch)),
            ("views", (answers > 0, "a table with a view that has answers")),
            (
                "views",
                (
                    answers > 1 || !self.advantage.compares(),
                    "a table with at least 2 answers, as they are compared",
                ),
            ),
            ("mask.cell", count(self.mask.cell as usize)),
            ("mask.probability", ((0.0..=1.0).contains(&self.mask.probability), "from 0 to 1")),
            ("noise.step", (self.noise.step < NOISE_STEPS, "below 1000")),
            ("noise.steepness", at_least_zero(self.noise.steepness)),
            (
                "reward.command.timeout_secs",
                (timeout > 0.0 && timeout <= LONGEST_TIMEOUT_SECS, "a number of seconds above 0"),
            ),
            (
                "reward.similarity",
                (
                    self.reward.similarity != 0.0 || self.reward.embedder.as_os_str().is_empty(),
                    "a weight other than 0 where reward.embedder is set",
                ),
            ),
            (
                "filter.key",
                (
                    self.reward.has_part(&self.filter.key),
                    "a part of the reward that is in use: overall, accuracy, format, similarity, overlong, command, \
                     command/…",
                ),
            ),
            ("filter.low", (self.filter.low < self.filter.high, "below filter.high")),
            ("filter.max_tries", count(self.filter.max_tries)),
        ])
    }

    fn update_checks(&self) -> Vec<(String, Check)> {
        let update = &self.update;
        named([
            ("update.passes", count(update.passes)),
            ("update.micro_batch_size", count(update.micro_batch_size)),
            ("update.learning_rate", above_zero(update.learning_rate)),
            ("update.vision_tower_lr", above_zero(update.vision_tower_lr.unwrap_or(1.0))),
            ("update.mm_projector_lr", above_zero(update.mm_projector_lr.unwrap_or(1.0))),
            ("update.weight_decay", at_least_zero(update.weight_decay.into())),
            ("update.adam_beta1", share(update.adam_beta1.into())),
            ("update.adam_beta2", share(update.adam_beta2.into())),
            ("update.adam_epsilon", above_zero(update.adam_epsilon.into())),
            ("update.max_grad_norm", at_least_zero(update.max_grad_norm)),
            ("update.ema_decay", share(update.ema_decay)),
        ])
    }

    fn loss_checks(&self) -> Vec<(String, Check)> {
        let mut checks = named([
            ("policy.clip_low", share(self.policy.clip_low)),
            ("policy.clip_high", at_least_zero(self.policy.clip_high)),
            ("policy.clip_dual", (self.policy.clip_dual > 1.0, "a number above 1")),
            ("policy.tau_positive", above_zero(self.policy.tau_positive)),
            ("policy.tau_negative", above_zero(self.policy.tau_negative)),
            ("kl.coefficient", at_least_zero(self.kl.coefficient)),
            ("kl.target", at_least_zero(self.kl.target)),
            ("kl.horizon", above_zero(self.kl.horizon)),
        ]);
        for (picture, view) in &self.contrasts {
            let key = |entry: &str| format!("contrasts.{}.{entry}", picture.name());
            checks.push((key("coefficient"), at_least_zero(view.coefficient)));
            if let Some(annealing) = view.annealing {
                checks.push((key("annealing.end"), at_least_zero(annealing.end)));
                let is_right = annealing.share > 0.0 && annealing.share <= 1.0;
                checks.push((key("annealing.share"), (is_right, "above 0 and at most 1")));
            }
        }
        checks
    }
}

fn named<const COUNT: usize>(checks: [(&str, Check); COUNT]) -> Vec<(String, Check)> {
    checks.into_iter().map(|(key, check)| (key.to_owned(), check)).collect()
}

fn is_named(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn count(count: usize) -> Check {
    (count > 0, "at least 1")
}

fn above_zero(number: f64) -> Check {
    (number > 0.0, "a number above 0")
}

fn at_least_zero(number: f64) -> Check {
    (number >= 0.0, "a number of at least 0")
}

fn share(share: f64) -> Check {
    ((0.0..1.0).contains(&share), "at least 0 and below 1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::Objective;
    use crate::rl::overlay::{merge, set};

    fn checked(entries: &[&str]) -> Result<(), String> {
        let mut table = toml::Table::try_from(Objective::Tapo.defaults()).expect("TOML");
        let mut given = toml::Table::new();
        let needed = ["model_name_or_path=model", "output_dir=run", "data.train_files=[\"rows.jsonl\"]"];
        for entry in needed.iter().chain(entries) {
            set(&mut given, entry).expect("an entry");
        }
        merge(&mut table, given);
        let recipe: RlRecipe = table.try_into().expect("a recipe");
        recipe.check().map_err(|error| error.to_string())
    }

    #[test]
    fn settings_that_make_sense_pass() {
        for entries in [
            ["rollout.temperature=0.001", "kl.coefficient=0.0", "contrasts.negative.coefficient=0.0"]
                .as_slice(),
            &[],
            &["reward.similarity=0.5", "filter.key=similarity", "reward.embedder=clip"],
            &["reward.command.argv=[\"judge\"]", "filter.key=command/tone", "filter.low=-1.0"],
            &["contrasts.negative.annealing={ end = 0.0, share = 1.0 }"],
        ] {
            assert_eq!(checked(entries), Ok(()), "{entries:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_its_key() {
        for entry in [
            "filter.key=acuracy",
            "filter.key=similarity",
            "filter.key=command",
            "filter.low=0.99",
            "filter.low=2.0",
            "filter.high=nan",
            "kl.coefficient=-0.1",
            "kl.target=-1.0",
            "kl.target=inf",
            "kl.horizon=0.0",
            "policy.tau_positive=0.0",
            "policy.tau_negative=-1.0",
            "policy.clip_dual=inf",
            "policy.clip_high=-0.1",
            "contrasts.negative.coefficient=-0.01",
            "contrasts.mask.coefficient=nan",
            "entropy.own=nan",
            "reward.accuracy=inf",
            "reward.command.weight=nan",
            "reward.command.timeout_secs=1e300",
            "rollout.temperature=1e-4",
            "rollout.temperature=nan",
            "rollout.top_p=nan",
            "update.weight_decay=1e300",
            "update.max_grad_norm=inf",
            "update.learning_rate=-1.0",
            "update.vision_tower_lr=0.0",
            "update.mm_projector_lr=nan",
            "update.ema_decay=1.0",
            "noise.steepness=-1.0",
            "lora_alpha=nan",
        ] {
            let (key, _) = entry.split_once('=').expect("an entry");
            let key = if key == "lora_alpha" { "adapter.lora_alpha" } else { key };
            let entry = if entry.starts_with("lora") { format!("adapter.{entry}") } else { entry.to_owned() };
            let error = checked(&[&entry]).expect_err(&entry);
            assert!(error.starts_with(&format!("`{key}` must be ")), "{entry}: {error}");
            assert!(
                error.contains(&format!("\nhint: set it in the recipe, or with --set {key}=")),
                "{error}"
            );
        }
        for (entries, key) in [
            (["contrasts.negative.annealing={ end = -1.0, share = 0.5 }"].as_slice(), "annealing.end"),
            (&["contrasts.negative.annealing={ end = 0.0, share = 0.0 }"], "annealing.share"),
            (&["reward.embedder=clip"], "reward.similarity"),
        ] {
            let error = checked(entries).expect_err(key);
            assert!(error.contains(key) && error.contains("must be"), "{error}");
        }
    }
}
