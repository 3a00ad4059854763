//! How near an answer is to the truth, for credit before it is right.
//!
//! [`Measure`] is what a better measure, such as one by embeddings of a text model, implements. The one at
//! hand compares spellings: Dice's coefficient of character trigrams, <https://doi.org/10.2307/1932409>.

use super::{Answered, Opinion, Reward, Scope, in_scope};
use anyhow::Result;
use std::collections::BTreeMap;

/// Compares two texts.
pub trait Measure: Send {
    /// From 0 (nothing in common) to 1 (the same).
    fn compare(&self, said: &str, truth: &str) -> f64;
}

/// Shared runs of three characters.
#[derive(Debug)]
pub struct Trigrams;

impl Measure for Trigrams {
    fn compare(&self, said: &str, truth: &str) -> f64 {
        let (said, truth) = (count(said), count(truth));
        let total: usize = said.values().chain(truth.values()).sum();
        let shared: usize = said
            .iter()
            .map(|(trigram, times)| truth.get(trigram).map_or(0, |other| (*times).min(*other)))
            .sum();
        2.0 * shared as f64 / total.max(1) as f64
    }
}

/// How alike two names are spelled, from 0 to 1.
#[must_use]
pub fn name_likeness(left: &str, right: &str) -> f64 {
    Trigrams.compare(left, right)
}

/// Runs of three characters and how often they occur; ends count as blanks.
fn count(text: &str) -> BTreeMap<[char; 3], usize> {
    let padded: Vec<char> = format!("  {} ", text.trim().to_lowercase()).chars().collect();
    let mut counts = BTreeMap::new();
    for three in padded.windows(3) {
        if three.iter().any(|letter| !letter.is_whitespace()) {
            *counts.entry([three[0], three[1], three[2]]).or_default() += 1;
        }
    }
    counts
}

/// What a measure says of the answer and the truth.
#[derive(Debug)]
pub struct Similarity<M> {
    /// How both are compared.
    pub measure: M,
    /// What is looked at.
    pub scope: Scope,
}

impl<M: Measure> Reward for Similarity<M> {
    fn name(&self) -> &'static str {
        "similarity"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        let compare = |answer: &Answered<'_>| {
            in_scope(answer.text, self.scope).map_or(0.0, |said| self.measure.compare(said, answer.truth))
        };
        Ok(answers.iter().map(|answer| compare(answer).into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_spellings_count_more() {
        let of = |said| Trigrams.compare(said, "737-800");
        assert_eq!(of(" 737-800"), 1.0);
        assert_eq!(of("A320"), 0.0);
        assert!(of("737-900") > of("757-200") && of("737-900") < 1.0);
        assert_eq!(Trigrams.compare("", ""), 0.0);
    }
}
