//! What came of one question, as a line of the result file.

use super::rows::{plain, tagged_answer};
use super::{Row, Settings, Task};
use fine_r1_core::generate::StopReason;
use fine_r1_core::reasoning::Transcript;
use serde::{Deserialize, Serialize};

/// One row's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`Settings::id`] of what fixed the answers.
    pub settings: String,
    /// Name of the set.
    pub set: String,
    /// Number of the row in its set, from 0.
    pub row: usize,
    /// The photo as the file names it.
    pub image: String,
    /// The photo that was shown, where it was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The true name.
    pub ground_truth: String,
    /// In the order in which they were shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// The answer; of several samples the one that most of them gave.
    pub answer: String,
    /// Whether it is the true name.
    pub exact: bool,
    /// All that the model wrote; empty for CLIP and SigLIP.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Output>,
    /// How probable the model holds each option, where it says so: the shares of CLIP's and SigLIP's
    /// logits, of the samples' votes, or of the options' probabilities after the model's thought.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<f64>,
}

/// One output of a language model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// As it was written.
    pub text: String,
    /// Tokens, the end token included.
    pub new_tokens: usize,
    /// Why it ended; earlier versions did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopReason>,
}

impl Output {
    /// Whether it ended before the model ended it.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(self.stop, Some(StopReason::Length | StopReason::ContextFull))
    }
}

impl Record {
    /// From what a language model wrote.
    #[must_use]
    pub fn written(settings: &Settings, id: &str, row: &Row, number: usize, samples: Vec<Output>) -> Self {
        let answers: Vec<String> =
            samples.iter().map(|sample| Transcript::parse(&sample.text).answer).collect();
        let answer = majority(&answers);
        let options = settings.options(row, number);
        // One greedy answer says nothing about the others.
        let shares = match answers.len() {
            0 | 1 => Vec::new(),
            count => options
                .iter()
                .map(|option| {
                    let votes = answers.iter().filter(|answer| plain(answer) == plain(option)).count();
                    votes as f64 / count as f64
                })
                .collect(),
        };
        Self {
            settings: id.to_owned(),
            set: settings.set.clone(),
            row: number,
            image: row.image.clone(),
            shown: None,
            ground_truth: row.ground_truth.clone(),
            exact: row.is_exact(&answer),
            options,
            answer,
            samples,
            shares,
        }
    }

    /// From the shares that CLIP or SigLIP gives the options.
    #[must_use]
    pub fn chosen(settings: &Settings, id: &str, row: &Row, number: usize, shares: Vec<f64>) -> Self {
        let options = settings.options(row, number);
        let best = shares.iter().zip(&options).max_by(|left, right| left.0.total_cmp(right.0));
        let answer = best.map(|(_, option)| option.clone()).unwrap_or_default();
        Self {
            exact: row.is_exact(&answer),
            answer,
            shares,
            ..Self::written(settings, id, row, number, Vec::new())
        }
    }

    /// The outputs taken apart.
    pub fn transcripts(&self) -> impl Iterator<Item = Transcript> {
        self.samples.iter().map(|sample| Transcript::parse(&sample.text))
    }

    /// Share of samples that are the true name.
    #[must_use]
    pub fn exact_share(&self, row: &Row) -> f64 {
        if self.samples.is_empty() {
            return f64::from(u8::from(self.exact));
        }
        let hits = self.transcripts().filter(|transcript| row.is_exact(&transcript.answer)).count();
        hits as f64 / self.samples.len() as f64
    }

    /// Whether any sample is the true name.
    #[must_use]
    pub fn any_exact(&self, row: &Row) -> bool {
        self.transcripts().any(|transcript| row.is_exact(&transcript.answer))
    }

    /// What the released evaluation scores of each sample: in the closed world the tagged answer or nothing,
    /// in the open one the tagged answer or everything. Where no tags were asked for, the answer itself.
    #[must_use]
    pub fn released_answers(&self, settings: &Settings) -> Vec<String> {
        if self.samples.is_empty() {
            return vec![self.answer.clone()];
        }
        let asks_for_tags = settings.asks_for_answer_tags();
        let of = |sample: &Output| match (tagged_answer(&sample.text), asks_for_tags, settings.task) {
            (Some(answer), _, _) => answer.to_owned(),
            (None, true, Task::ClosedWorld) => String::new(),
            (None, true, Task::OpenWorld) => sample.text.clone(),
            (None, false, _) => Transcript::parse(&sample.text).answer,
        };
        self.samples.iter().map(of).collect()
    }
}

/// The answer that was given most often, of equals the one that came first.
fn majority(answers: &[String]) -> String {
    let votes = |answer: &String| answers.iter().filter(|other| plain(other) == plain(answer)).count();
    let mut best: Option<(&String, usize)> = None;
    for answer in answers {
        let votes = votes(answer);
        if best.is_none_or(|(_, most)| votes > most) {
            best = Some((answer, votes));
        }
    }
    best.map(|(answer, _)| answer.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_votes_win_and_the_first_of_equals() {
        let vote = |answers: &[&str]| majority(&answers.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>());
        assert_eq!(vote(&["A319", "a320 ", "A320", "A321"]), "a320 ");
        assert_eq!(vote(&["A319", "A320"]), "A319");
        assert_eq!(vote(&[]), "");
    }
}
