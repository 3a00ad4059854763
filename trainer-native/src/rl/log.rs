//! What a run says of every step: a JSON line in `log.jsonl`, and a line on the console.

use super::gather::{Answer, Gathered};
use super::learnt::Learnt;
use super::objective::LossParts;
use super::recipe::RlRecipe;
use super::reward::Verdict;
use crate::checkpoint::write_file;
use crate::progress::clock;
use anyhow::{Context, Result};
use fine_r1_core::generate::StopReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Seconds of a step by what they went into.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Drawing and judging.
    pub rollout_secs: f64,
    /// Scoring and updates.
    pub update_secs: f64,
    /// Tokens that were drawn a second.
    pub rollout_tokens_per_sec: f64,
}

impl Timing {
    /// Of the drawing of so many tokens; learning is still to come.
    #[must_use]
    pub fn of_rollout(secs: f64, tokens: usize) -> Self {
        Self { rollout_secs: secs, update_secs: 0.0, rollout_tokens_per_sec: tokens as f64 / secs.max(1e-9) }
    }
}

/// One line of `log.jsonl`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLine {
    /// Steps that were made.
    pub step: usize,
    /// Steps of the run.
    pub total_steps: usize,
    /// How often the data was read.
    pub epoch: f64,
    /// Mean of every component of the reward over all answers, and of their sum as `overall`; groups that were
    /// left out count.
    pub reward: BTreeMap<String, f64>,
    /// Groups that were drawn.
    pub groups_drawn: usize,
    /// Groups among them that taught something.
    pub groups_kept: usize,
    /// Groups that were learnt from.
    pub groups_used: usize,
    /// Rounds of drawing; 0 without a filter.
    pub tries: usize,
    /// Mean length of the answers that were learnt from, in tokens.
    pub answer_tokens: f64,
    /// Share of them that were cut off.
    pub cut_off: f64,
    /// Share of the right answers that name several classes.
    pub several_names: f64,
    /// The terms of the loss.
    pub loss: LossParts,
    /// Distance to the reference.
    pub kl: f64,
    /// Weight of that distance.
    pub kl_coefficient: f64,
    /// Joint norm of the gradient before it was clipped.
    pub grad_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Largest difference between a token's log-probability in drawing and in learning.
    pub mismatch_max: f64,
    /// The mean of those differences.
    pub mismatch_mean: f64,
    /// Updates that changed nothing because their gradient was no number.
    pub updates_skipped: usize,
    /// Where the time went.
    #[serde(flatten)]
    pub timing: Timing,
    /// What should worry.
    pub alarms: Vec<String>,
}

impl LogLine {
    /// What gathering has found; learning is still to be told of.
    #[must_use]
    pub fn new(step: usize, total_steps: usize, questions: usize, gathered: &Gathered) -> Self {
        let right = gathered.right.max(1) as f64;
        let answers: Vec<&Answer> = gathered.groups.iter().flat_map(|group| &group.answers).collect();
        let share = |sum: f64| sum / answers.len().max(1) as f64;
        let tokens: usize = answers.iter().map(|answer| answer.drawn.ids.len()).sum();
        let cut_off = answers
            .iter()
            .filter(|answer| matches!(answer.drawn.stop, StopReason::Length | StopReason::ContextFull))
            .count();
        Self {
            step,
            total_steps,
            epoch: gathered.cursor as f64 / questions as f64,
            reward: means(&gathered.verdicts),
            groups_drawn: gathered.drawn,
            groups_kept: gathered.kept,
            groups_used: gathered.groups.len(),
            tries: gathered.tries,
            answer_tokens: share(tokens as f64),
            cut_off: share(cut_off as f64),
            several_names: gathered.several_names as f64 / right,
            loss: LossParts::default(),
            kl: 0.0,
            kl_coefficient: 0.0,
            grad_norm: 0.0,
            learning_rate: 0.0,
            mismatch_max: 0.0,
            mismatch_mean: 0.0,
            updates_skipped: 0,
            timing: Timing::default(),
            alarms: Vec::new(),
        }
    }

    /// Adds what was learnt.
    pub fn note(&mut self, learnt: &Learnt) {
        self.loss = learnt.parts;
        self.kl = learnt.kl;
        self.grad_norm = learnt.grad_norm;
        self.mismatch_max = learnt.mismatch.largest;
        self.mismatch_mean = learnt.mismatch.mean();
        self.updates_skipped = learnt.skipped;
    }

    /// The console's line.
    #[must_use]
    pub fn line(&self, recipe: &RlRecipe, remaining: Duration) -> String {
        let mean = |key: &str| self.reward.get(key).copied().unwrap_or_default();
        let mut line = format!(
            "step {}/{}  reward {:.3}  right {:.3}",
            self.step,
            self.total_steps,
            mean("overall"),
            mean("accuracy")
        );
        if recipe.filter.enabled {
            line += &format!("  kept {}/{} in {}", self.groups_kept, self.groups_drawn, self.tries);
        }
        line += &format!("  loss {:.4}  entropy {:.3}", self.loss.total, self.loss.entropy);
        if recipe.active_contrasts().next().is_some() {
            line += &format!("  contrast {:.4}", self.loss.contrast);
        }
        if recipe.needs_reference() {
            line += &format!("  kl {:.4}", self.kl);
        }
        line + &format!(
            "  grad {:.2}  tokens {:.0}  mismatch {:.1e}  {:.0} tokens/s  {:.1} s  ETA {}",
            self.grad_norm,
            self.answer_tokens,
            self.mismatch_max,
            self.timing.rollout_tokens_per_sec,
            self.timing.rollout_secs + self.timing.update_secs,
            clock(remaining)
        )
    }

    /// Appends the line to a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&self, path: &Path) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        writeln!(file, "{}", serde_json::to_string(self)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The lines of a run up to a step. Those after it, which a run that was killed has made in vain, are taken
/// out of the file.
///
/// # Errors
/// The file cannot be written.
pub fn read_until(path: &Path, step: usize) -> Result<Vec<LogLine>> {
    let Ok(text) = fs::read_to_string(path) else { return Ok(Vec::new()) };
    let parse =
        |line: &str| serde_json::from_str::<LogLine>(line).ok().map(|parsed| (line.to_owned(), parsed));
    let kept: Vec<(String, LogLine)> =
        text.lines().filter_map(parse).filter(|(_, parsed)| parsed.step <= step).collect();
    let rest: String = kept.iter().map(|(line, _)| format!("{line}\n")).collect();
    if rest != text {
        write_file(path, rest.as_bytes())?;
    }
    Ok(kept.into_iter().map(|(_, parsed)| parsed).collect())
}

fn means(verdicts: &[Verdict]) -> BTreeMap<String, f64> {
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    for verdict in verdicts {
        *sums.entry("overall".to_owned()).or_default() += verdict.overall;
        for (key, value) in &verdict.parts {
            *sums.entry(key.clone()).or_default() += value;
        }
    }
    sums.into_iter().map(|(key, sum)| (key, sum / verdicts.len() as f64)).collect()
}
