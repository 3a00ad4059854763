//! What an answer is worth: opinions, one a file, weighed together.
//!
//! An opinion sees the text of an answer and its whole row; it never sees a tensor.
//! Weights and parts of Fine-R1:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/TAPO/examples/reward_function/cls_thinking.py>.

mod accuracy;
mod command;
mod format;
mod overlong;
mod similarity;

pub use accuracy::{Accuracy, AccuracyMode, find_labels};
pub use command::{CommandReward, CommandSettings};
pub use format::Format;
pub use overlong::{Overlong, OverlongSettings};
pub use similarity::{Meaning, Measure, Similarity, Trigrams, name_likeness};

use crate::device::OpenDevice;
use crate::evaluate::open_text_embedder;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// An answer as an opinion sees it.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// What was said.
    pub text: &'a str,
    /// Its length in tokens.
    pub tokens: usize,
    /// What should have been said.
    pub truth: &'a str,
    /// All columns of the row.
    pub columns: &'a Map<String, Value>,
}

/// What one opinion says about one answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Opinion {
    /// What counts.
    pub score: f64,
    /// What is only logged.
    pub details: Vec<(String, f64)>,
}

impl From<f64> for Opinion {
    fn from(score: f64) -> Self {
        Self { score, details: Vec::new() }
    }
}

/// Somebody who judges answers.
pub trait Reward {
    /// What logs call it.
    fn name(&self) -> &'static str;

    /// One opinion for every answer.
    ///
    /// # Errors
    /// Whatever a judge outside of the program meets.
    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>>;
}

/// What all opinions make of an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Verdict {
    /// The weighted sum.
    pub overall: f64,
    /// Every component by name.
    pub parts: BTreeMap<String, f64>,
}

impl Verdict {
    /// A component by name; `overall` is the sum.
    #[must_use]
    pub fn part(&self, key: &str) -> Option<f64> {
        if key == "overall" { Some(self.overall) } else { self.parts.get(key).copied() }
    }
}

/// Which part of an answer is held against the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What stands in the first `<answer> … </answer>`; without it nothing is right.
    #[default]
    AnswerBlock,
    /// All of it, for models that answer without thought.
    WholeText,
}

/// The `[reward]` table of a recipe: a weight for every opinion; 0 leaves it out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RewardSettings {
    /// Of being right; how that is decided stands in `[parity]`.
    pub accuracy: f64,
    /// Of the form `<think> … </think><answer> … </answer>`.
    pub format: f64,
    /// Of being nearly right: near in meaning where there is an `embedder`, near in spelling where there is none.
    pub similarity: f64,
    /// Folder of CLIP, SigLIP or a sentence embedder, whose vectors of texts measure `similarity`; where empty,
    /// shared runs of three characters do.
    pub embedder: PathBuf,
    /// What is held against the truth.
    pub scope: Scope,
    /// The penalty of answers that grow too long.
    pub overlong: OverlongSettings,
    /// A judge of your own.
    pub command: CommandSettings,
}

impl Default for RewardSettings {
    fn default() -> Self {
        Self {
            accuracy: 0.9,
            format: 0.1,
            similarity: 0.0,
            embedder: PathBuf::new(),
            scope: Scope::AnswerBlock,
            overlong: OverlongSettings::default(),
            command: CommandSettings::default(),
        }
    }
}

impl RewardSettings {
    /// Whether verdicts have a component of this name.
    #[must_use]
    pub fn has_part(&self, key: &str) -> bool {
        match key {
            "overall" | "accuracy" | "format" => true,
            "similarity" => self.similarity != 0.0,
            "overlong" => self.overlong.weight != 0.0,
            // What else it tells of, only the program knows.
            _ => !self.command.argv.is_empty() && (key == "command" || key.starts_with("command/")),
        }
    }

    fn measure(&self, device: &OpenDevice) -> Result<Box<dyn Measure>> {
        if self.embedder.as_os_str().is_empty() {
            return Ok(Box::new(Trigrams));
        }
        let embedder = open_text_embedder(&self.embedder, device).context("reward.embedder")?;
        eprintln!("reward.similarity is measured by {}", embedder.name());
        Ok(Box::new(Meaning::new(embedder)))
    }
}

/// All opinions of a run.
pub struct Jury {
    members: Vec<(f64, Box<dyn Reward>)>,
}

impl Jury {
    /// The opinions of a recipe. `labels` are all names that the data knows, `longest` the most tokens
    /// that an answer may have; a model of texts computes on `device`.
    ///
    /// # Errors
    /// A judge outside of the program cannot be started, or a model of texts not be read.
    pub fn new(
        settings: &RewardSettings,
        mode: AccuracyMode,
        labels: Vec<String>,
        longest: usize,
        device: &OpenDevice,
    ) -> Result<Self> {
        let scope = settings.scope;
        let mut members: Vec<(f64, Box<dyn Reward>)> = vec![
            // What is right is always logged, and the filter looks at it.
            (settings.accuracy, Box::new(Accuracy { mode, scope, labels })),
            (settings.format, Box::new(Format)),
        ];
        if settings.similarity != 0.0 {
            let measure = settings.measure(device)?;
            members.push((settings.similarity, Box::new(Similarity { measure, scope })));
        }
        if settings.overlong.weight != 0.0 {
            let buffer_tokens = settings.overlong.buffer_tokens;
            members.push((settings.overlong.weight, Box::new(Overlong { longest, buffer_tokens })));
        }
        if !settings.command.argv.is_empty() {
            members.push((settings.command.weight, Box::new(CommandReward::start(&settings.command)?)));
        }
        Ok(Self { members })
    }

    /// Hears all opinions.
    ///
    /// # Errors
    /// A judge failed.
    pub fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Verdict>> {
        let mut verdicts = vec![Verdict::default(); answers.len()];
        for (weight, member) in &mut self.members {
            let opinions = member.judge(answers)?;
            ensure!(opinions.len() == answers.len(), "{} has no opinion on some answers", member.name());
            for (verdict, opinion) in verdicts.iter_mut().zip(opinions) {
                verdict.overall += *weight * opinion.score;
                verdict.parts.insert(member.name().to_owned(), opinion.score);
                verdict.parts.extend(
                    opinion
                        .details
                        .into_iter()
                        .map(|(key, value)| (format!("{}/{key}", member.name()), value)),
                );
            }
        }
        Ok(verdicts)
    }
}

/// The part of an answer that is held against the truth, as it was written.
fn in_scope(text: &str, scope: Scope) -> Option<&str> {
    use fine_r1_core::reasoning::tags::{ANSWER_CLOSE, ANSWER_OPEN};
    match scope {
        Scope::WholeText => Some(text.trim()),
        Scope::AnswerBlock => {
            let (_, after) = text.split_once(ANSWER_OPEN)?;
            after.split_once(ANSWER_CLOSE).map(|(inside, _)| inside.trim())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;

    #[test]
    fn opinions_are_weighed_and_each_is_kept() {
        let columns = Map::new();
        let settings = RewardSettings { similarity: 0.5, ..RewardSettings::default() };
        let device = device::storage().expect("a processor");
        let mut jury =
            Jury::new(&settings, AccuracyMode::Substring, Vec::new(), 100, &device).expect("no command");
        let judge = |jury: &mut Jury, text: &str| {
            let answer = Answered { text, tokens: 3, truth: "A320", columns: &columns };
            jury.judge(&[answer]).expect("opinions").remove(0)
        };
        let right = judge(&mut jury, "<think>Two engines.</think><answer>A320</answer>");
        assert!((right.overall - 1.5).abs() < 1e-12, "{right:?}");
        assert_eq!(right.part("accuracy"), Some(1.0));
        assert_eq!(right.part("overall"), Some(right.overall));
        let formed = judge(&mut jury, "<think>Two engines.</think><answer>Saab</answer>");
        assert!((formed.overall - 0.1).abs() < 1e-12, "{formed:?}");
        let untagged = judge(&mut jury, "A320");
        assert_eq!((untagged.overall, untagged.part("format")), (0.0, Some(0.0)));
    }

    #[test]
    fn settings_know_which_parts_a_verdict_has() {
        let mut settings = RewardSettings::default();
        let has = |settings: &RewardSettings, keys: &[&str]| keys.iter().all(|key| settings.has_part(key));
        assert!(has(&settings, &["overall", "accuracy", "format"]));
        for key in ["similarity", "overlong", "command", "command/tone", "acuracy", ""] {
            assert!(!settings.has_part(key), "{key}");
        }
        (settings.similarity, settings.overlong.weight) = (0.5, 1.0);
        settings.command.argv = vec!["judge".into()];
        assert!(has(&settings, &["similarity", "overlong", "command", "command/tone"]));
        assert!(!settings.has_part("commands"));
    }

    #[test]
    fn a_folder_without_a_model_of_texts_is_refused_by_its_key() {
        let settings = RewardSettings {
            similarity: 1.0,
            embedder: "no-such-folder".into(),
            ..RewardSettings::default()
        };
        let device = device::storage().expect("a processor");
        let error = Jury::new(&settings, AccuracyMode::Substring, Vec::new(), 100, &device).err();
        let said = format!("{:#}", error.expect("there is none"));
        assert!(said.contains("reward.embedder") && said.contains("no-such-folder"), "{said}");
    }
}
