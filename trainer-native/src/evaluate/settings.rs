//! What fixes the answers to a set's questions; answers are kept under its hash.

use super::data_set::sha256;
use super::{DataSet, Row};
use clap::ValueEnum;
use fine_r1_core::reasoning::tags::{ANSWER_OPEN, THINK_OPEN};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Choose among the row's options.
    #[value(name = "closed")]
    #[serde(rename = "closed")]
    ClosedWorld,
    /// Name it.
    #[value(name = "open")]
    #[serde(rename = "open")]
    OpenWorld,
}

/// What is changed about a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// Nothing: options shuffled by the seed, the right photo.
    Plain,
    /// Options as the files have them, the true name first.
    ReleasedOrder,
    /// No chain of thought.
    NoThinking,
    /// A photo of another class.
    ShuffledImage,
    /// A grey picture of the photo's size.
    BlankImage,
}

impl Task {
    /// As tables call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::ClosedWorld => "closed world",
            Self::OpenWorld => "open world",
        }
    }
}

impl Variant {
    /// As tables call it, after the task.
    #[must_use]
    pub fn title(self, task: Task) -> &'static str {
        match (self, task) {
            (Self::Plain, Task::ClosedWorld) => ", options shuffled",
            (Self::Plain, Task::OpenWorld) => "",
            (Self::ReleasedOrder, _) => ", released order (parity only)",
            (Self::NoThinking, _) => ", no thinking",
            (Self::ShuffledImage, _) => ", shuffled image",
            (Self::BlankImage, _) => ", blank image",
        }
    }
}

/// All that the answers depend on, besides the processor's last bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Name of the set.
    pub set: String,
    /// Of its file.
    pub data_sha256: String,
    /// Of its photos' bytes; empty where an earlier version did not look.
    #[serde(default)]
    pub photos_sha256: String,
    /// Fingerprint of the checkpoint.
    pub model_sha256: String,
    /// What is asked.
    pub task: Task,
    /// What is changed about it.
    pub variant: Variant,
    /// The prompt with its places; for CLIP and SigLIP the sentence around a name.
    pub prompt: String,
    /// Shuffles options and photos, and draws samples.
    pub seed: u64,
    /// Most tokens of an answer; 0 for CLIP and SigLIP.
    pub max_new_tokens: usize,
    /// Answers to every question.
    pub samples: usize,
    /// Randomness of samples; 0 takes the likeliest tokens.
    pub temperature: f64,
    /// Share of probability that is sampled from.
    pub top_p: f64,
    /// Above 1, makes tokens that were seen less likely.
    #[serde(default = "unpenalised")]
    pub repetition_penalty: f64,
    /// Whether every option is scored after the model's own thought.
    pub scores_options: bool,
}

/// What every answer was given with before the penalty was heeded.
fn unpenalised() -> f64 {
    1.0
}

impl Settings {
    /// Sixteen hexadecimal digits that stand for all of it.
    #[must_use]
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).expect("plain fields");
        sha256(text.as_bytes())[..16].to_owned()
    }

    /// Whether the prompt asks for the answer in tags.
    #[must_use]
    pub fn asks_for_answer_tags(&self) -> bool {
        self.prompt.contains(ANSWER_OPEN)
    }

    /// Whether the prompt asks for thought and answer in tags.
    #[must_use]
    pub fn asks_for_format(&self) -> bool {
        self.prompt.contains(THINK_OPEN) && self.asks_for_answer_tags()
    }

    /// Whether answers to both may be compared: same photos, same words, same order, same decoding.
    #[must_use]
    pub fn is_asked_like(&self, other: &Self) -> bool {
        // What may differ is the checkpoint, and what was scored besides.
        let (model_sha256, scores_options) = (other.model_sha256.clone(), other.scores_options);
        *other == Self { model_sha256, scores_options, ..self.clone() }
    }

    /// The options in the order in which they are shown.
    #[must_use]
    pub fn options(&self, row: &Row, number: usize) -> Vec<String> {
        match (self.task, self.variant) {
            (Task::OpenWorld, _) => Vec::new(),
            (Task::ClosedWorld, Variant::ReleasedOrder) => row.options.clone(),
            (Task::ClosedWorld, _) => row.shuffled(self.seed, number),
        }
    }

    /// The row whose photo is shown: another class's where photos are shuffled and there is one.
    #[must_use]
    pub fn shown(&self, set: &DataSet, number: usize) -> usize {
        if self.variant != Variant::ShuffledImage {
            return number;
        }
        let truth = &set.rows[number].ground_truth;
        let others: Vec<usize> =
            (0..set.rows.len()).filter(|at| set.rows[*at].ground_truth != *truth).collect();
        if others.is_empty() {
            return (number + 1) % set.rows.len();
        }
        others[(draw(self.seed, number) % others.len() as u64) as usize]
    }
}

/// A number that depends on seed and row alone, in a stream of its own.
#[must_use]
pub fn draw(seed: u64, number: usize) -> u64 {
    use rand::{Rng, SeedableRng};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(!seed);
    random.set_stream(number as u64);
    random.next_u64()
}

/// Which rows one of several processes asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Whether this process asks a row.
    #[must_use]
    pub fn takes(self, row: usize) -> bool {
        row % self.of == self.number - 1
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("must be I/N, such as 2/3, with I from 1 to N".into()),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::evaluate::rows::tests::row;

    /// Settings of a closed world.
    pub fn settings(variant: Variant) -> Settings {
        Settings {
            set: "a_seen".into(),
            data_sha256: String::new(),
            photos_sha256: String::new(),
            model_sha256: String::new(),
            task: Task::ClosedWorld,
            variant,
            prompt: "{question} {options}".into(),
            seed: 1,
            max_new_tokens: 8,
            samples: 1,
            temperature: 0.0,
            top_p: 1.0,
            repetition_penalty: 1.0,
            scores_options: false,
        }
    }

    #[test]
    fn every_setting_counts_in_the_hash() {
        let plain = settings(Variant::Plain);
        assert_eq!(plain.id(), plain.clone().id());
        for other in [
            settings(Variant::BlankImage),
            Settings { seed: 2, ..plain.clone() },
            Settings { prompt: "{options}".into(), ..plain.clone() },
            Settings { max_new_tokens: 9, ..plain.clone() },
            Settings { model_sha256: "1".into(), ..plain.clone() },
            Settings { photos_sha256: "1".into(), ..plain.clone() },
            Settings { repetition_penalty: 1.05, ..plain.clone() },
        ] {
            assert_ne!(plain.id(), other.id(), "{other:?}");
        }
    }

    #[test]
    fn models_may_differ_in_a_comparison_and_nothing_else() {
        let plain = settings(Variant::Plain);
        let model = Settings { model_sha256: "1".into(), scores_options: true, ..plain.clone() };
        assert!(plain.is_asked_like(&model));
        for other in [
            Settings { seed: 2, ..plain.clone() },
            Settings { prompt: "{options}".into(), ..plain.clone() },
            Settings { photos_sha256: "1".into(), ..plain.clone() },
            Settings { max_new_tokens: 9, ..plain.clone() },
            Settings { samples: 2, ..plain.clone() },
            Settings { temperature: 0.5, ..plain.clone() },
            Settings { repetition_penalty: 1.05, ..plain.clone() },
        ] {
            assert!(!plain.is_asked_like(&other), "{other:?}");
        }
    }

    #[test]
    fn a_shuffled_photo_is_of_another_class_and_the_same_every_time() {
        let mut rows = vec![row(); 8];
        for (index, row) in rows.iter_mut().enumerate().skip(4) {
            row.ground_truth = format!("class {}", index % 2);
        }
        let set = DataSet {
            name: "a".into(),
            dataset: "a".into(),
            split: None,
            file: "a".into(),
            sha256: String::new(),
            rows,
        };
        let shuffled = settings(Variant::ShuffledImage);
        for number in 0..8 {
            let shown = shuffled.shown(&set, number);
            assert_ne!(set.rows[shown].ground_truth, set.rows[number].ground_truth);
            assert_eq!(shown, shuffled.shown(&set, number));
            assert_eq!(settings(Variant::Plain).shown(&set, number), number);
        }
    }

    #[test]
    fn shards_share_all_rows() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().expect("a shard")).to_vec();
        for row in 0..20 {
            assert_eq!(shards.iter().filter(|shard| shard.takes(row)).count(), 1);
        }
        for text in ["", "0/3", "4/3", "1", "a/b", "1/0"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
