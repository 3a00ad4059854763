//! What a run made, in numbers: counts, lengths, rejections, tokens.

use super::filter::{Reason, Rejection};
use super::thought::{CandidateOrder, Form};
use crate::cot::teacher::{Purpose, Tokens};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Name of the file in the output folder.
pub const REPORT_FILE: &str = "cot-report.json";

/// Smallest, middle, mean and largest of some counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The smallest.
    pub min: usize,
    /// Half are at most this.
    pub median: usize,
    /// Their mean.
    pub mean: f64,
    /// The largest.
    pub max: usize,
}

impl Spread {
    /// Of no counts all is zero.
    #[must_use]
    pub fn of(mut counts: Vec<usize>) -> Self {
        counts.sort_unstable();
        let (Some(min), Some(max)) = (counts.first(), counts.last()) else { return Self::default() };
        Self {
            min: *min,
            median: counts[(counts.len() - 1) / 2],
            mean: counts.iter().sum::<usize>() as f64 / counts.len() as f64,
            max: *max,
        }
    }
}

/// A text that was not kept, as the side file has it.
#[derive(Debug, Clone, Serialize)]
pub struct Rejected {
    /// The picture.
    pub image: String,
    /// Its label.
    pub label: String,
    /// Number of the attempt, from 1.
    pub attempt: usize,
    /// The rule that the text broke.
    pub reason: Reason,
    /// How it broke it.
    pub detail: String,
    /// The text.
    pub text: String,
}

impl Rejected {
    /// Puts a rejection beside what was rejected.
    #[must_use]
    pub fn new(image: &str, label: &str, attempt: usize, rejection: Rejection, text: String) -> Self {
        let Rejection { reason, detail } = rejection;
        Self { image: image.to_owned(), label: label.to_owned(), attempt, reason, detail, text }
    }
}

/// What was asked and what it cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Answers of this run.
    pub answers_new: usize,
    /// Answers that earlier runs had left.
    pub answers_kept: usize,
    /// Tokens of all of them, by purpose.
    pub tokens: BTreeMap<&'static str, Tokens>,
    /// Tokens of this run's alone.
    pub tokens_new: Tokens,
}

impl Cost {
    /// Counts an answer.
    pub fn add(&mut self, purpose: Purpose, tokens: Tokens, is_new: bool) {
        *self.tokens.entry(purpose.name()).or_default() += tokens;
        if is_new {
            self.answers_new += 1;
            self.tokens_new += tokens;
        } else {
            self.answers_kept += 1;
        }
    }
}

/// What a run made.
#[derive(Debug, Clone, Serialize)]
pub struct DistillReport {
    /// Who was asked.
    pub teacher: String,
    /// The seed of samples, questions, answers and places.
    pub seed: u64,
    /// Where the true names stand.
    pub candidate_order: CandidateOrder,
    /// Where the instruction stands.
    pub form: Form,
    /// Pictures that were asked about.
    pub images: usize,
    /// Their classes.
    pub classes: usize,
    /// Classes that the data set has.
    pub classes_kept: usize,
    /// Conversations in the data set.
    pub written: usize,
    /// Pictures without one, after all attempts.
    pub left_out: usize,
    /// Texts that were not kept, by reason.
    pub rejections: BTreeMap<Reason, usize>,
    /// Attempts that kept conversations took: how many took one, two, and so on.
    pub attempts: Vec<usize>,
    /// Candidates of kept conversations: how many have two, three, four.
    pub candidates: BTreeMap<usize, usize>,
    /// Where the true name stands among them, from the first place on.
    pub truth_places: Vec<usize>,
    /// Words of the answers.
    pub answer_words: Spread,
    /// Characters of the answers.
    pub answer_characters: Spread,
    /// Concepts of a picture, where concepts were chosen.
    pub concepts: Option<Spread>,
    /// What it cost.
    pub cost: Cost,
    /// The data set.
    pub dataset_path: PathBuf,
    /// The side file of texts that were not kept.
    pub rejected_path: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_its_middle() {
        assert_eq!(Spread::of(vec![]), Spread::default());
        let spread = Spread::of(vec![9, 1, 2, 4]);
        assert_eq!(spread, Spread { min: 1, median: 2, mean: 4.0, max: 9 });
    }

    #[test]
    fn kept_answers_cost_nothing_anew() {
        let mut cost = Cost::default();
        let tokens = Tokens { prompt: 10, completion: 3 };
        cost.add(Purpose::Rationale, tokens, true);
        cost.add(Purpose::Rationale, tokens, false);
        cost.add(Purpose::Description, tokens, false);
        assert_eq!((cost.answers_new, cost.answers_kept), (1, 2));
        assert_eq!(cost.tokens_new, tokens);
        assert_eq!(cost.tokens["rationale"], Tokens { prompt: 20, completion: 6 });
        assert_eq!(cost.tokens["description"], tokens);
    }
}
