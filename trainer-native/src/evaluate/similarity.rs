//! Relative semantic similarity: how far an answer comes from the super-category's word to the true name.
//!
//! `max(0, (sim(answer, truth) − sim(word, truth)) / (1 − sim(word, truth)))`, section 5.1 of
//! <https://arxiv.org/abs/2602.07605>; the released code takes the word from the image's path:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/eval/evaluation.py>.

use super::{DataSet, Row, TextEmbedder};
use anyhow::{Result, bail};
use std::collections::HashMap;

/// Words of the data sets that are known here, by the names that their files may have.
const KNOWN: [(&str, &[&str]); 6] = [
    ("aircraft", &["aircraft", "fgvc_aircraft", "airliners"]),
    ("bird", &["bird", "birds", "cub", "cub_200", "cub_200_2011"]),
    ("car", &["car", "cars", "stanford_cars"]),
    ("dog", &["dog", "dogs", "stanford_dogs"]),
    ("flower", &["flower", "flowers", "flowers_102", "oxford_flowers"]),
    ("pet", &["pet", "pets", "oxford_pets", "oxford_iiit_pet"]),
];

/// The word for data sets that nobody knows.
const UNKNOWN: &str = "object";

/// Where the super-category's word of a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Categories {
    /// The data set's, as given or as known; `object` for others, which [`Categories::unknown`] lists.
    Explicit(HashMap<String, String>),
    /// The image's path in its file, as the released code has it.
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
                None => known(&set.dataset).unwrap_or(UNKNOWN),
            },
            Self::ReleasedPaths => {
                [("aircraft", "aircraft"), ("birds", "bird"), ("cars", "car"), ("flower", "flower")]
                    .into_iter()
                    .find(|(part, _)| row.image.contains(part))
                    .map_or(UNKNOWN, |(_, word)| word)
            }
        }
    }

    /// Whether of a true name body and year need not be said: in the data set of cars, whichever word stands
    /// for it; in the released code where the path names cars.
    #[must_use]
    pub fn is_car(&self, set: &DataSet, row: &Row) -> bool {
        match self {
            Self::Explicit(_) => known(&set.dataset) == Some("car"),
            Self::ReleasedPaths => self.word(set, row) == "car",
        }
    }

    /// Data sets whose word is neither given nor known, each once.
    #[must_use]
    pub fn unknown<'set>(&self, sets: &'set [DataSet]) -> Vec<&'set str> {
        let Self::Explicit(words) = self else { return Vec::new() };
        let mut names: Vec<&str> = sets
            .iter()
            .map(|set| set.dataset.as_str())
            .filter(|name| !words.contains_key(*name) && known(name).is_none())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The word of a data set, letter case and hyphens aside.
fn known(dataset: &str) -> Option<&'static str> {
    let name = dataset.to_lowercase().replace('-', "_");
    KNOWN.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(word, _)| *word)
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

    fn set() -> DataSet {
        DataSet {
            name: "a_seen".into(),
            dataset: "a".into(),
            split: None,
            file: "x".into(),
            sha256: String::new(),
            rows: Vec::new(),
        }
    }

    #[test]
    fn a_word_is_explicit_or_the_released_path_rule() {
        let set = |dataset: &str| DataSet { dataset: dataset.into(), ..set() };
        // Whoever keeps photos in a folder of birds has no other words than others.
        let at = |path: &str| Row {
            image: path.into(),
            image_path: format!("/data/birds/{path}").into(),
            ..row()
        };
        let words = Categories::parse(&["pet=animal".into()], &[set("pet")]).expect("a pair");
        assert_eq!(words.word(&set("pet"), &row()), "animal");
        assert_eq!(words.word(&set("dog"), &row()), "dog");
        assert_eq!(words.word(&set("Stanford-Cars"), &row()), "car");
        assert_eq!(words.word(&set("mine"), &row()), "object");
        let sets = ["mine", "pet", "other", "mine", "bird"].map(set);
        assert_eq!(words.unknown(&sets), ["mine", "other"]);
        assert!(Categories::ReleasedPaths.unknown(&sets).is_empty());
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

    #[test]
    fn cars_are_a_data_set_and_no_word() {
        let set = |dataset: &str| DataSet { dataset: dataset.into(), ..set() };
        let words = ["car=vehicle".to_owned(), "pet=car".to_owned()];
        let words = Categories::parse(&words, &[set("car"), set("pet")]).expect("two pairs");
        assert!(words.is_car(&set("car"), &row()) && !words.is_car(&set("pet"), &row()));
        let car = Row { image: "stanford-cars/cars_test/1.jpg".into(), ..row() };
        let paths = Categories::ReleasedPaths;
        assert!(paths.is_car(&set("pet"), &car) && !paths.is_car(&set("car"), &row()));
    }
}
