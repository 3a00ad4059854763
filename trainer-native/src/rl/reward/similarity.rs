//! How near an answer is to the truth, for credit before it is right.
//!
//! Two measures are at hand. By spelling: Dice's coefficient of character trigrams, <https://doi.org/10.2307/1932409>;
//! it knows nothing of meaning. By meaning: the cosine of the vectors that a model of texts gives both, which is what
//! section 5.1 of <https://arxiv.org/abs/2602.07605> measures open answers by.

use super::{Answered, Opinion, Reward, Scope, in_scope};
use crate::evaluate::TextEmbedder;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Compares texts.
pub trait Measure {
    /// For every pair of what was said and what is true: from 0 (nothing in common) to 1 (the same).
    ///
    /// # Errors
    /// Whatever a model of texts meets.
    fn compare(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<f64>>;
}

/// Shared runs of three characters.
#[derive(Debug)]
pub struct Trigrams;

impl Measure for Trigrams {
    fn compare(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<f64>> {
        Ok(pairs.iter().map(|(said, truth)| name_likeness(said, truth)).collect())
    }
}

/// How alike two names are spelled, from 0 to 1.
#[must_use]
pub fn name_likeness(left: &str, right: &str) -> f64 {
    let (left, right) = (count(left), count(right));
    let total: usize = left.values().chain(right.values()).sum();
    let shared: usize =
        left.iter().map(|(trigram, times)| right.get(trigram).map_or(0, |other| (*times).min(*other))).sum();
    2.0 * shared as f64 / total.max(1) as f64
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

/// The cosine of vectors, 0 where it is negative.
pub struct Meaning {
    embedder: Box<dyn TextEmbedder>,
    /// Of what is true: the same few texts, step after step.
    truths: BTreeMap<String, Vec<f32>>,
}

impl Meaning {
    /// Compares by the vectors of a model.
    #[must_use]
    pub fn new(embedder: Box<dyn TextEmbedder>) -> Self {
        Self { embedder, truths: BTreeMap::new() }
    }

    fn embed<'text>(&self, texts: &BTreeSet<&'text str>) -> Result<BTreeMap<&'text str, Vec<f32>>> {
        let texts: Vec<&str> = texts.iter().copied().collect();
        let vectors = if texts.is_empty() { Vec::new() } else { self.embedder.embed(&texts)? };
        Ok(texts.into_iter().zip(vectors).collect())
    }
}

impl Measure for Meaning {
    fn compare(&mut self, pairs: &[(&str, &str)]) -> Result<Vec<f64>> {
        let fresh = pairs.iter().map(|(_, truth)| *truth).filter(|truth| !self.truths.contains_key(*truth));
        let fresh = self.embed(&fresh.collect())?;
        self.truths.extend(fresh.into_iter().map(|(truth, vector)| (truth.to_owned(), vector)));
        // An empty text has no meaning, and some models no vector for it.
        let said = pairs.iter().map(|(said, _)| *said).filter(|said| !said.is_empty());
        let said_vectors = self.embed(&said.collect())?;
        let near = |(said, truth): &(&str, &str)| {
            let Some(vector) = said_vectors.get(said) else { return 0.0 };
            let products = vector.iter().zip(&self.truths[*truth]);
            products.map(|(left, right)| f64::from(*left) * f64::from(*right)).sum::<f64>().clamp(0.0, 1.0)
        };
        Ok(pairs.iter().map(near).collect())
    }
}

/// What a measure says of the answer and the truth.
pub struct Similarity {
    /// How both are compared.
    pub measure: Box<dyn Measure>,
    /// What is looked at.
    pub scope: Scope,
}

impl Reward for Similarity {
    fn name(&self) -> &'static str {
        "similarity"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        let said: Vec<Option<&str>> =
            answers.iter().map(|answer| in_scope(answer.text, self.scope)).collect();
        let pairs: Vec<(&str, &str)> =
            said.iter().zip(answers).filter_map(|(said, answer)| Some(((*said)?, answer.truth))).collect();
        let mut found = self.measure.compare(&pairs)?.into_iter();
        // Without an answer nothing is near.
        let score = |said: &Option<&str>| said.and_then(|_| found.next()).unwrap_or(0.0).into();
        Ok(said.iter().map(score).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Map;

    #[test]
    fn nearer_spellings_count_more() {
        let of = |said| name_likeness(said, "737-800");
        assert_eq!(of(" 737-800"), 1.0);
        assert_eq!(of("A320"), 0.0);
        assert!(of("737-900") > of("757-200") && of("737-900") < 1.0);
        assert_eq!(name_likeness("", ""), 0.0);
    }

    /// A vector by the first letter: `a` to `c` are 60 degrees apart.
    struct Letters;

    impl TextEmbedder for Letters {
        fn name(&self) -> &str {
            "letters"
        }

        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            let angle = |text: &&str| {
                f32::from(text.bytes().next().expect("a letter") - b'a') * std::f32::consts::FRAC_PI_3
            };
            Ok(texts.iter().map(|text| vec![angle(text).cos(), angle(text).sin()]).collect())
        }
    }

    fn scores(measure: Box<dyn Measure>, answers: &[&str]) -> Vec<f64> {
        let columns = Map::new();
        let mut similarity = Similarity { measure, scope: Scope::AnswerBlock };
        let answers: Vec<Answered<'_>> = answers
            .iter()
            .map(|text| Answered { text, tokens: 1, truth: "apple", columns: &columns })
            .collect();
        let opinions = similarity.judge(&answers).expect("opinions");
        opinions.into_iter().map(|opinion| opinion.score).collect()
    }

    const ANSWERS: [&str; 6] = [
        "<answer>apple</answer>",
        "<answer>avocado</answer>",
        "nothing",
        "<answer>bread</answer>",
        "<answer></answer>",
        "<answer>cheese</answer>",
    ];

    #[test]
    fn a_model_of_texts_compares_meanings() {
        let found = scores(Box::new(Meaning::new(Box::new(Letters))), &ANSWERS);
        for (found, expected) in found.iter().zip([1.0, 1.0, 0.0, 0.5, 0.0, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
    }

    #[test]
    fn answers_without_an_answer_keep_their_places() {
        let found = scores(Box::new(Trigrams), &ANSWERS);
        assert_eq!((found[0], found[2], found[4]), (1.0, 0.0, 0.0));
        assert!(found[1] > 0.0 && found[1] < 1.0);
    }
}
