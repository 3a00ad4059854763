//! All figures of a run: a line for every measure, a cell for every set, and the paper's averages.
//!
//! Averages: tables 1, 2 and 6 of <https://arxiv.org/abs/2602.07605>: the mean over data sets of the seen
//! split, of the unseen one, and the mean of both.

use super::interval::Estimate;
use super::{Split, Task, Variant};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a line counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A share, shown in percent.
    Share,
    /// Tokens.
    Tokens,
}

/// One measure over all sets.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// For machines: task, variant and measure.
    pub key: String,
    /// For people.
    pub title: String,
    /// What is counted.
    pub unit: Unit,
    /// By set; `None` where it was not measured.
    pub sets: Vec<Option<Estimate>>,
    /// Mean over data sets of the seen split.
    pub seen: Option<Estimate>,
    /// Mean over data sets of the unseen split.
    pub unseen: Option<Estimate>,
    /// Mean of both.
    pub all: Option<Estimate>,
}

/// A set as the summary names it.
#[derive(Debug, Clone, Serialize)]
pub struct SetFacts {
    /// `aircraft_seen`
    pub name: String,
    /// `aircraft`
    pub dataset: String,
    /// Where the name says it.
    pub split: Option<Split>,
    /// The file.
    pub file: String,
    /// Of its bytes.
    pub sha256: String,
    /// Rows of the file.
    pub rows: usize,
}

/// A prompt as the summary stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PromptFacts {
    /// What was asked.
    pub task: Task,
    /// What was changed about it.
    pub variant: Variant,
    /// The text with its places.
    pub prompt: String,
}

/// Everything that a run found.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The checkpoint as it was named.
    pub model: String,
    /// Its fingerprint.
    pub model_sha256: String,
    /// Name of the prompts.
    pub prompt: String,
    /// Their texts.
    pub prompts: Vec<PromptFacts>,
    /// Shuffles options and draws samples.
    pub seed: u64,
    /// Answers to every question.
    pub samples: usize,
    /// Randomness of samples; 0 takes the likeliest tokens.
    pub temperature: f64,
    /// Share of probability that is sampled from.
    pub top_p: f64,
    /// Above 1, makes tokens that were seen less likely.
    pub repetition_penalty: f64,
    /// Most tokens of an answer; 0 for CLIP and SigLIP.
    pub max_new_tokens: usize,
    /// The model of texts that similarity was measured with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedder: Option<String>,
    /// The super-category's word by set; where paths decided, all words that came up.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, String>,
    /// Questions that are answered.
    pub answered: usize,
    /// Questions in all.
    pub asked: usize,
    /// The sets, in the order of every line's cells.
    pub sets: Vec<SetFacts>,
    /// The figures.
    pub lines: Vec<Line>,
}
