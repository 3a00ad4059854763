//! What a run says of every step: a line of its journal, and a line on the console.

use super::gather::{Answer, Gathered};
use super::learnt::Learnt;
use super::objective::LossParts;
use super::recipe::RlRecipe;
use super::reward::Verdict;
use crate::journal::{Drawing, Line};
use crate::progress::clock;
use fine_r1_core::generate::StopReason;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// An advantage nearer to 0 than this is what rounding leaves of 0.
const NO_ADVANTAGE: f32 = 1e-6;

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
    /// The best answer of a group, by that sum: the mean over all groups.
    #[serde(default)]
    pub best_reward: f64,
    /// Groups that were drawn.
    pub groups_drawn: usize,
    /// Groups among them that taught something.
    pub groups_kept: usize,
    /// Groups that were learnt from.
    pub groups_used: usize,
    /// Rounds of drawing; 0 without a filter.
    pub tries: usize,
    /// Answers that were learnt from and whose advantage is not 0.
    #[serde(default)]
    pub answers_weighed: usize,
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
    /// Largest difference between a token's log-probability in drawing and in learning; none where it was not
    /// measured: dropout makes another model of the one that draws.
    #[serde(default)]
    pub mismatch_max: Option<f64>,
    /// The mean of those differences.
    #[serde(default)]
    pub mismatch_mean: Option<f64>,
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
            best_reward: gathered.best_sum / gathered.drawn.max(1) as f64,
            groups_drawn: gathered.drawn,
            groups_kept: gathered.kept,
            groups_used: gathered.groups.len(),
            tries: gathered.tries,
            answers_weighed: 0,
            answer_tokens: share(tokens as f64),
            cut_off: share(cut_off as f64),
            several_names: gathered.several_names as f64 / right,
            loss: LossParts::default(),
            kl: 0.0,
            kl_coefficient: 0.0,
            grad_norm: 0.0,
            learning_rate: 0.0,
            mismatch_max: None,
            mismatch_mean: None,
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
        self.mismatch_max = learnt.mismatch.largest();
        self.mismatch_mean = learnt.mismatch.mean();
        self.updates_skipped = learnt.skipped;
        let weighs = |row: &&Vec<f32>| row.iter().any(|advantage| advantage.abs() > NO_ADVANTAGE);
        self.answers_weighed = learnt.advantages.iter().filter(weighs).count();
    }

    /// Whether the step moved the weights.
    #[must_use]
    pub fn has_learnt(&self) -> bool {
        self.grad_norm > 0.0
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
        let mismatch = self.mismatch_max.map_or("-".to_owned(), |largest| format!("{largest:.1e}"));
        line + &format!(
            "  grad {:.2}  tokens {:.0}  mismatch {mismatch}  {:.0} tokens/s  {:.1} s  ETA {}",
            self.grad_norm,
            self.answer_tokens,
            self.timing.rollout_tokens_per_sec,
            self.timing.rollout_secs + self.timing.update_secs,
            clock(remaining)
        )
    }
}

impl Line for LogLine {
    fn step(&self) -> usize {
        self.step
    }

    fn scalars(&self) -> Vec<(String, f64)> {
        let mut scalars: Vec<(String, f64)> =
            self.reward.iter().map(|(name, mean)| (format!("reward/{name}"), *mean)).collect();
        let LossParts { total, policy, kl, contrast, entropy, contrast_entropy, .. } = self.loss;
        let mut add = |tag: &str, value: f64| scalars.push((tag.to_owned(), value));
        add("reward/best_of_group", self.best_reward);
        add("train/learning_rate", self.learning_rate);
        add("train/updates_skipped", self.updates_skipped as f64);
        add("train/rollout_tokens_per_sec", self.timing.rollout_tokens_per_sec);
        add("train/rollout_secs", self.timing.rollout_secs);
        add("train/update_secs", self.timing.update_secs);
        add("groups/drawn", self.groups_drawn as f64);
        add("groups/kept", self.groups_kept as f64);
        add("answers/tokens", self.answer_tokens);
        add("answers/cut_off", self.cut_off);
        add("answers/several_names", self.several_names);
        // A step that learnt nothing has no loss.
        if self.has_learnt() {
            add("train/loss", total);
            add("train/grad_norm", self.grad_norm);
            add("loss/policy", policy);
            add("loss/kl", kl);
            add("loss/contrast", contrast);
            add("policy/kl", self.kl);
            add("policy/kl_coefficient", self.kl_coefficient);
            add("policy/entropy", entropy);
            add("policy/contrast_entropy", contrast_entropy);
            add("policy/clip_high", self.loss.clip_high);
            add("policy/clip_low", self.loss.clip_low);
            add("policy/clip_dual", self.loss.clip_dual);
            add("policy/shift", self.loss.shift);
        }
        if let Some(largest) = self.mismatch_max {
            add("policy/mismatch_max", largest);
        }
        scalars
    }

    fn drawings(lines: &[Self]) -> Vec<Drawing> {
        let of = |pick: fn(&Self) -> Option<f64>| {
            lines.iter().filter_map(|line| Some((line.step as f64, pick(line)?))).collect()
        };
        let drawing = |file, caption, made| Drawing { file, caption, made, held_out: Vec::new() };
        vec![
            drawing("reward.svg", "mean reward", of(|line| line.reward.get("overall").copied())),
            drawing("loss.svg", "loss", of(|line| line.has_learnt().then_some(line.loss.total))),
        ]
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rl::learnt::Mismatch;

    fn line() -> LogLine {
        let verdict = |overall: f64| Verdict { overall, parts: [("accuracy".to_owned(), overall)].into() };
        let gathered = Gathered {
            verdicts: vec![verdict(1.0), verdict(0.0)],
            best_sum: 1.0,
            drawn: 1,
            ..Gathered::default()
        };
        LogLine::new(3, 9, 10, &gathered)
    }

    #[test]
    fn what_was_not_measured_is_not_shown_as_nothing() {
        let mut line = line();
        let shown = |line: &LogLine| line.line(&RlRecipe::default(), Duration::ZERO);
        assert!(shown(&line).contains("mismatch -  "), "{}", shown(&line));
        assert!(line.scalars().iter().all(|(tag, _)| !tag.starts_with("policy/")), "{:?}", line.scalars());
        let mut mismatch = Mismatch::default();
        mismatch.note(&[-1.0, -2.0], &[-1.0, -2.5]);
        let advantages = vec![vec![1e-9, -1e-9], vec![0.5, 0.5], vec![]];
        line.note(&Learnt { mismatch, advantages, grad_norm: 1.0, ..Learnt::default() });
        assert!(shown(&line).contains("mismatch 5.0e-1  "), "{}", shown(&line));
        assert_eq!((line.mismatch_mean, line.answers_weighed), (Some(0.25), 1));
        let scalars: BTreeMap<String, f64> = line.scalars().into_iter().collect();
        for tag in ["train/loss", "policy/entropy", "policy/clip_high", "answers/tokens", "reward/overall"] {
            assert!(scalars.contains_key(tag), "{tag}: {scalars:?}");
        }
        assert_eq!((scalars["reward/accuracy"], scalars["reward/best_of_group"]), (0.5, 1.0));
    }

    #[test]
    fn a_line_can_be_read_back_and_drawn() {
        let text = serde_json::to_string(&line()).expect("JSON");
        let read: LogLine = serde_json::from_str(&text).expect("a line");
        assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
        let drawings = LogLine::drawings(&[read]);
        assert_eq!(drawings[0].made, [(3.0, 0.5)]);
        assert!(drawings[1].made.is_empty(), "nothing was learnt");
    }
}
