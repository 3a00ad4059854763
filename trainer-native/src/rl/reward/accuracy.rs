//! Whether an answer is right, by four rules of rising strictness.
//!
//! The released rule can be had by listing names, and short names stand inside longer ones; users of a
//! related project met both: <https://github.com/Liuziyu77/Visual-RFT/issues/79>.

use super::{Answered, Opinion, Reward, Scope, in_scope};
use anyhow::Result;
use fine_r1_core::reasoning::without_space_beside_marks;
use serde::{Deserialize, Serialize};

/// When an answer is right. Letter case never matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccuracyMode {
    /// It contains the true name, once white space beside `<`, `>` and `/` is deleted: as released.
    #[default]
    Substring,
    /// It contains the true name as words of its own.
    WordBoundary,
    /// It contains the true name as words of its own, and no other name that the data knows.
    SingleLabel,
    /// It is the true name.
    Exact,
}

/// 1 for a right answer, 0 for a wrong one.
#[derive(Debug)]
pub struct Accuracy {
    /// The rule.
    pub mode: AccuracyMode,
    /// What is looked at.
    pub scope: Scope,
    /// All names that the data knows.
    pub labels: Vec<String>,
}

impl Reward for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        Ok(answers.iter().map(|answer| f64::from(u8::from(self.is_right(answer))).into()).collect())
    }
}

impl Accuracy {
    fn is_right(&self, answer: &Answered<'_>) -> bool {
        if self.mode == AccuracyMode::Substring {
            let cleaned = without_space_beside_marks(answer.text);
            return in_scope(&cleaned, self.scope)
                .is_some_and(|said| said.to_lowercase().contains(&answer.truth.to_lowercase()));
        }
        let Some(said) = in_scope(answer.text, self.scope).map(plain) else { return false };
        let truth = plain(answer.truth);
        match self.mode {
            AccuracyMode::Substring | AccuracyMode::WordBoundary => !places(&said, &truth).is_empty(),
            AccuracyMode::SingleLabel => {
                let mut labels = self.labels.clone();
                labels.push(answer.truth.to_owned());
                find_labels(&said, &labels) == [truth]
            }
            AccuracyMode::Exact => said == truth,
        }
    }
}

/// The names that a text mentions as words of their own, each once, in alphabetical order and lower case. A
/// name inside a longer one that is mentioned does not count.
#[must_use]
pub fn find_labels(text: &str, labels: &[String]) -> Vec<String> {
    let text = plain(text);
    let mut labels: Vec<String> =
        labels.iter().map(|label| plain(label)).filter(|label| !label.is_empty()).collect();
    labels.sort_by(|left, right| right.len().cmp(&left.len()).then(left.cmp(right)));
    labels.dedup();
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut found = Vec::new();
    for label in labels {
        let own: Vec<(usize, usize)> = places(&text, &label)
            .into_iter()
            .map(|start| (start, start + label.len()))
            .filter(|(start, end)| !taken.iter().any(|(from, to)| from <= start && end <= to))
            .collect();
        if !own.is_empty() {
            taken.extend(own);
            found.push(label);
        }
    }
    found.sort();
    found
}

/// Lower case, blanks for underscores and runs of white space.
fn plain(text: &str) -> String {
    text.to_lowercase().replace('_', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where a name stands with neither letter nor digit beside it.
fn places(text: &str, name: &str) -> Vec<usize> {
    if name.is_empty() {
        return Vec::new();
    }
    text.match_indices(name)
        .filter(|(start, _)| {
            let before = text[..*start].chars().next_back();
            let after = text[start + name.len()..].chars().next();
            [before, after].iter().all(|beside| !beside.is_some_and(char::is_alphanumeric))
        })
        .map(|(start, _)| start)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    #[track_caller]
    fn check(said: &str, truth: &str, right_by: &[AccuracyMode]) {
        let labels = ["737-300", "737-800", "A320", "A320neo", "F/A-18"].map(str::to_owned).to_vec();
        let columns = Map::new();
        let text = format!("<think>x</think><answer>{said}</answer>");
        for mode in [
            AccuracyMode::Substring,
            AccuracyMode::WordBoundary,
            AccuracyMode::SingleLabel,
            AccuracyMode::Exact,
        ] {
            let mut accuracy = Accuracy { mode, scope: Scope::AnswerBlock, labels: labels.clone() };
            let answer = Answered { text: &text, tokens: 1, truth, columns: &columns };
            let score = accuracy.judge(&[answer]).expect("an opinion")[0].score;
            assert_eq!(score == 1.0, right_by.contains(&mode), "{said:?} for {truth:?} by {mode:?}");
        }
    }

    #[test]
    fn every_rule_is_stricter_than_the_one_before() {
        use AccuracyMode::{Exact, SingleLabel, Substring, WordBoundary};
        check(" a320 ", "A320", &[Substring, WordBoundary, SingleLabel, Exact]);
        check("An A320, seen from the left", "A320", &[Substring, WordBoundary, SingleLabel]);
        check("A320 or 737-800", "A320", &[Substring, WordBoundary]);
        check("A320neo", "A320", &[Substring]);
        check("737-800", "A320", &[]);
        check("Boeing 737-300.", "737-300", &[Substring, WordBoundary, SingleLabel]);
        check("F/A-18", "F/A-18", &[Substring, WordBoundary, SingleLabel, Exact]);
    }

    #[test]
    fn the_released_rule_deletes_blanks_beside_strokes() {
        use AccuracyMode::{Exact, SingleLabel, Substring, WordBoundary};
        check("F / A-18", "F/A-18", &[Substring]);
        // The truth itself is left as it is.
        check("F / A-18", "F / A-18", &[WordBoundary, SingleLabel, Exact]);
    }

    #[test]
    fn only_the_first_answer_counts_and_none_is_wrong() {
        let columns = Map::new();
        let mut accuracy =
            Accuracy { mode: AccuracyMode::Substring, scope: Scope::AnswerBlock, labels: Vec::new() };
        let mut score = |text: &str| {
            accuracy.judge(&[Answered { text, tokens: 1, truth: "B", columns: &columns }]).expect("one")[0]
                .score
        };
        assert_eq!(score("<answer>A</answer><answer>B</answer>"), 0.0);
        assert_eq!(score("B"), 0.0);
        assert_eq!(score("<answer>B"), 0.0);
    }

    #[test]
    fn labels_inside_longer_labels_do_not_count() {
        let labels = ["A320", "A320 neo", "737"].map(str::to_owned).to_vec();
        assert_eq!(find_labels("the a320_neo", &labels), ["a320 neo"]);
        assert_eq!(find_labels("a320 neo, not A320", &labels), ["a320", "a320 neo"]);
        assert_eq!(find_labels("7370", &labels), Vec::<String>::new());
    }
}
