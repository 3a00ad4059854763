//! Relative semantic similarity: how far an answer comes from the super-category's word to the true name.
//!
//! `max(0, (sim(answer, truth) − sim(word, truth)) / (1 − sim(word, truth)))`, section 5.1 of
//! <https://arxiv.org/abs/2602.07605>; the released code takes the word from the image's path:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/eval/evaluation.py>.

use super::{DataSet, Row, TextEmbedder};
use anyhow::{Result, bail};
use std::collections::HashMap;

/// Words of the data sets that are known here.
const KNOWN: [(&str, &str); 7] = [
    ("aircraft", "aircraft"),
    ("airliners", "aircraft"),
    ("bird", "bird"),
    ("car", "car"),
    ("dog", "dog"),
    ("flower", "flower"),
    ("pet", "pet"),
];

/// Where the super-category's word of a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Categories {
    /// The data set's, as given or as known; `object` for others.
    Explicit(HashMap<String, String>),
    /// The image's path, as the released code has it.
    ReleasedPaths,
}

impl Categories {
    /// From `DATASET=WORD` for each data set that gets another word than the known one.
    ///
    /// # Errors
    /// A pair is malformed, or names no data set.
    pub fn parse(pairs: &[String], sets: &[DataSet]) -> Result<Self> {
        let mut words = HashMap::new();
        for pair in pairs {
            let Some((dataset, word)) = pair.split_once('=').filter(|(_, word)| !word.trim().is_empty())
            else {
                bail!("--category {pair} is no pair\nhint: write DATASET=WORD, such as bird=bird");
            };
            if !sets.iter().any(|set| set.dataset == dataset) {
                let mut names: Vec<&str> = sets.iter().map(|set| set.dataset.as_str()).collect();
                names.dedup();
                bail!("--category {pair} names no data set\nhint: the data sets are {}", names.join(", "));
            }
            words.insert(dataset.to_owned(), word.trim().to_owned());
        }
        Ok(Self::Explicit(words))
    }

    /// The word for a row.
    #[must_use]
    pub fn word<'own>(&'own self, set: &DataSet, row: &Row) -> &'own str {
        match self {
            Self::Explicit(words) => match words.get(&set.dataset) {
                Some(word) => word.as_str(),
                None => {
                    KNOWN.iter().find(|(name, _)| *name == set.dataset).map_or("object", |(_, word)| *word)
                }
            },
            Self::ReleasedPaths => {
                let path = row.image_path.to_string_lossy();
                [("aircraft", "aircraft"), ("birds", "bird"), ("cars", "car"), ("flower", "flower")]
                    .into_iter()
                    .find(|(part, _)| path.contains(part))
                    .map_or("object", |(_, word)| word)
            }
        }
    }
}

/// The formula.
#[must_use]
pub fn relative(answer_to_truth: f64, word_to_truth: f64) -> f64 {
    let room = 1.0 - word_to_truth;
    // The word is the true name: an answer is it, or it is not.
    if room < 1e-6 {
        return f64::from(u8::from(1.0 - answer_to_truth < 1e-6));
    }
    ((answer_to_truth - word_to_truth) / room).max(0.0)
}

/// Vectors of texts, each computed once.
pub struct Similarity<'embedder> {
    embedder: &'embedder dyn TextEmbedder,
    vectors: HashMap<String, Vec<f32>>,
}

impl<'embedder> Similarity<'embedder> {
    /// Knows no text yet.
    #[must_use]
    pub fn new(embedder: &'embedder dyn TextEmbedder) -> Self {
        Self { embedder, vectors: HashMap::new() }
    }

    /// Computes the vectors of texts that it does not know.
    ///
    /// # Errors
    /// A text cannot be encoded, or the device failed.
    pub fn learn<'text>(&mut self, texts: impl Iterator<Item = &'text str>) -> Result<()> {
        let mut fresh: Vec<&str> = texts.filter(|text| !self.vectors.contains_key(*text)).collect();
        fresh.sort_unstable();
        fresh.dedup();
        let vectors = self.embedder.embed(&fresh)?;
        self.vectors.extend(fresh.into_iter().map(str::to_owned).zip(vectors));
        Ok(())
    }

    /// How near an answer comes.
    ///
    /// # Panics
    /// One of the texts was not learnt.
    #[must_use]
    pub fn relative(&self, answer: &str, word: &str, truth: &str) -> f64 {
        let cosine = |left: &str, right: &str| -> f64 {
            let pairs = self.vectors[left].iter().zip(&self.vectors[right]);
            pairs.map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
        };
        relative(cosine(answer, truth), cosine(word, truth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::rows::tests::row;

    #[test]
    fn the_formula_is_that_of_hand_computed_cases() {
        assert!((relative(0.9, 0.6) - 0.75).abs() < 1e-12);
        assert_eq!(relative(0.5, 0.6), 0.0);
        assert_eq!(relative(1.0, 0.6), 1.0);
        assert_eq!((relative(1.0, 1.0), relative(0.8, 1.0)), (1.0, 0.0));
    }

    struct Plane;

    impl TextEmbedder for Plane {
        fn name(&self) -> &str {
            "plane"
        }

        fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
            // Angles by length: 0° for one letter, 30° more for every other.
            let angle = |text: &&str| std::f32::consts::FRAC_PI_6 * (text.len() as f32 - 1.0);
            Ok(texts.iter().map(|text| vec![angle(text).cos(), angle(text).sin()]).collect())
        }
    }

    #[test]
    fn vectors_go_through_the_formula() {
        let mut similarity = Similarity::new(&Plane);
        similarity.learn(["a", "bb", "ccc"].into_iter()).expect("vectors");
        // Truth at 0°, answer at 30°, word at 60°: (0.866 − 0.5) / 0.5.
        assert!((similarity.relative("bb", "ccc", "a") - 0.732_050_8).abs() < 1e-6);
    }

    #[test]
    fn a_word_is_explicit_or_the_released_path_rule() {
        let set = |dataset: &str| DataSet {
            name: dataset.into(),
            dataset: dataset.into(),
            split: None,
            file: "x".into(),
            sha256: String::new(),
            rows: Vec::new(),
        };
        let at = |path: &str| Row { image_path: path.into(), ..row() };
        let words = Categories::parse(&["pet=animal".into()], &[set("pet")]).expect("a pair");
        assert_eq!(words.word(&set("pet"), &row()), "animal");
        assert_eq!(words.word(&set("dog"), &row()), "dog");
        assert_eq!(words.word(&set("mine"), &row()), "object");
        assert!(Categories::parse(&["pet=".into()], &[set("pet")]).is_err());
        assert!(Categories::parse(&["cat=x".into()], &[set("pet")]).is_err());
        for (path, word) in [
            ("fgvc-aircraft/1.jpg", "aircraft"),
            ("bird_200/1.jpg", "object"),
            ("birds/bird_200/1.jpg", "bird"),
            ("cars/dogs/1.jpg", "car"),
            ("flowers/1.jpg", "flower"),
            ("pets/1.jpg", "object"),
        ] {
            assert_eq!(Categories::ReleasedPaths.word(&set("pet"), &at(path)), word, "{path}");
        }
    }
}
