//! Which classes are taken for which, and how far the model's shares can be believed.

use super::rows::plain;
use super::{DataSet, Record};
use serde::Serialize;
use std::collections::BTreeMap;

/// The column of answers that are no name of the set.
pub const OTHER: &str = "(other)";

/// True names against answers.
#[derive(Debug, Clone, Serialize)]
pub struct Confusion {
    /// Names of rows and columns; answers have one column more, [`OTHER`].
    pub names: Vec<String>,
    /// `[truth][answer]`, counts.
    pub counts: Vec<Vec<usize>>,
}

/// Two classes that are mistaken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The true name.
    pub truth: String,
    /// The answer.
    pub answer: String,
    /// How often.
    pub count: usize,
    /// Of how many photos of the class.
    pub of: usize,
}

impl Confusion {
    /// Counts the answers to a set.
    #[must_use]
    pub fn new<'record>(set: &DataSet, records: impl Iterator<Item = &'record Record>) -> Self {
        // Every name that is true somewhere or offered, by its plain form.
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for row in &set.rows {
            for name in row.options.iter().chain([&row.ground_truth]) {
                names.entry(plain(name)).or_insert_with(|| name.clone());
            }
        }
        let places: BTreeMap<&String, usize> = names.keys().zip(0..).collect();
        let mut counts = vec![vec![0; names.len() + 1]; names.len()];
        for record in records {
            let Some(truth) = places.get(&plain(&record.ground_truth)) else { continue };
            let answer = places.get(&plain(&record.answer)).copied().unwrap_or(names.len());
            counts[*truth][answer] += 1;
        }
        let names = names.values().cloned().collect();
        Self { names, counts }
    }

    /// The commonest mistakes, most frequent first.
    #[must_use]
    pub fn worst(&self, most: usize) -> Vec<Mistake> {
        let mut found = Vec::new();
        for (truth, row) in self.counts.iter().enumerate() {
            let of = row.iter().sum();
            for (answer, count) in row.iter().enumerate() {
                if *count > 0 && answer != truth {
                    let answer = self.names.get(answer).map_or(OTHER, String::as_str).to_owned();
                    found.push(Mistake { truth: self.names[truth].clone(), answer, count: *count, of });
                }
            }
        }
        found.sort_by(|left, right| right.count.cmp(&left.count).then(left.truth.cmp(&right.truth)));
        found.truncate(most);
        found
    }

    /// The same with only the classes that are in a mistake most often, for a table that can be read.
    #[must_use]
    pub fn narrowed(&self, most: usize) -> Self {
        if self.names.len() <= most {
            return self.clone();
        }
        let mistakes = |class: usize| -> usize {
            let given: usize = self.counts.iter().map(|row| row[class]).sum();
            let taken: usize = self.counts[class].iter().sum();
            given + taken - 2 * self.counts[class][class]
        };
        let mut classes: Vec<usize> = (0..self.names.len()).collect();
        classes.sort_by_key(|class| std::cmp::Reverse(mistakes(*class)));
        classes.truncate(most);
        classes.sort_unstable();
        let counts = classes
            .iter()
            .map(|truth| {
                let row = &self.counts[*truth];
                let kept: Vec<usize> = classes.iter().map(|answer| row[*answer]).collect();
                let rest = row.iter().sum::<usize>() - kept.iter().sum::<usize>();
                kept.into_iter().chain([rest]).collect()
            })
            .collect();
        Self { names: classes.iter().map(|class| self.names[*class].clone()).collect(), counts }
    }
}

/// Logits, or logarithms of probabilities, as shares of their sum.
#[must_use]
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Candidates whose shares lie in one tenth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bin {
    /// Mean share.
    pub share: f64,
    /// How many of them were the true name.
    pub right: f64,
    /// How many there are.
    pub count: usize,
}

/// How often candidates with a certain share are the true name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// By tenths of the share; empty ones are left out.
    pub bins: Vec<Bin>,
    /// Mean distance of share and truth over all candidates: the expected calibration error,
    /// <https://arxiv.org/abs/1706.04599>.
    pub error: f64,
}

impl Calibration {
    /// Over all candidates of all records that have shares; `None` where none has.
    #[must_use]
    pub fn new<'record>(records: impl Iterator<Item = &'record Record>) -> Option<Self> {
        let mut tenths = [(0.0, 0.0, 0_usize); 10];
        for record in records {
            for (option, share) in record.options.iter().zip(&record.shares) {
                let tenth = &mut tenths[((share * 10.0) as usize).min(9)];
                tenth.0 += share;
                tenth.1 += f64::from(u8::from(plain(option) == plain(&record.ground_truth)));
                tenth.2 += 1;
            }
        }
        let total: usize = tenths.iter().map(|tenth| tenth.2).sum();
        if total == 0 {
            return None;
        }
        let bins: Vec<Bin> = tenths
            .iter()
            .filter(|tenth| tenth.2 > 0)
            .map(|(share, right, count)| Bin {
                share: share / *count as f64,
                right: right / *count as f64,
                count: *count,
            })
            .collect();
        let apart = |bin: &Bin| (bin.share - bin.right).abs() * bin.count as f64 / total as f64;
        Some(Self { error: bins.iter().map(apart).sum(), bins })
    }
}

/// How often the option at each place was chosen, and how often the true name stood there.
#[must_use]
pub fn places<'record>(records: impl Iterator<Item = &'record Record>) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    for record in records {
        for (place, option) in record.options.iter().enumerate() {
            if places.len() <= place {
                places.push((0, 0));
            }
            places[place].0 += usize::from(plain(option) == plain(&record.answer));
            places[place].1 += usize::from(plain(option) == plain(&record.ground_truth));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::rows::tests::row;
    use std::path::PathBuf;

    fn record(truth: &str, answer: &str, shares: &[f64]) -> Record {
        Record {
            settings: String::new(),
            set: String::new(),
            row: 0,
            image: String::new(),
            shown: None,
            ground_truth: truth.into(),
            options: row().options,
            answer: answer.into(),
            exact: truth == answer,
            samples: Vec::new(),
            shares: shares.to_vec(),
        }
    }

    fn set() -> DataSet {
        DataSet {
            name: "a".into(),
            dataset: "a".into(),
            split: None,
            file: PathBuf::new(),
            sha256: String::new(),
            rows: vec![row()],
        }
    }

    #[test]
    fn mistakes_are_counted_and_the_worst_come_first() {
        let records =
            [("A320", "a320"), ("A320", "A319"), ("A319", "A320"), ("A320", "A319"), ("A321", "bird")]
                .map(|(truth, answer)| record(truth, answer, &[]));
        let confusion = Confusion::new(&set(), records.iter());
        assert_eq!(confusion.names, ["737-300", "A319", "A320", "A321"]);
        assert_eq!(confusion.counts[2], [0, 2, 1, 0, 0]);
        assert_eq!(confusion.counts[3], [0, 0, 0, 0, 1]);
        let worst = confusion.worst(2);
        assert_eq!(worst[0], Mistake { truth: "A320".into(), answer: "A319".into(), count: 2, of: 3 });
        assert_eq!(worst[1].truth, "A319");
        let narrow = confusion.narrowed(2);
        assert_eq!(
            (narrow.names, narrow.counts),
            (vec!["A319".to_owned(), "A320".to_owned()], vec![vec![0, 1, 0], vec![2, 1, 0]])
        );
    }

    #[test]
    fn calibration_is_that_of_a_hand_computed_case() {
        let records = [
            record("A320", "A320", &[0.85, 0.05, 0.05, 0.05]),
            record("A319", "A320", &[0.85, 0.15, 0.0, 0.0]),
        ];
        let found = Calibration::new(records.iter()).expect("shares");
        let last = found.bins.last().expect("a bin");
        assert_eq!((last.right, last.count), (0.5, 2));
        assert!((last.share - 0.85).abs() < 1e-12);
        // Five near nothing, one of 0.15 that is right, two of 0.85 of which one is.
        let expected = (5.0 * 0.03 + 0.85 + 2.0 * 0.35) / 8.0;
        assert!((found.error - expected).abs() < 1e-12, "{found:?}");
        assert_eq!(Calibration::new([record("A320", "A320", &[])].iter()), None);
    }

    #[test]
    fn shares_are_those_of_the_powers() {
        let shares = softmax(&[-700.0, 3.0_f64.ln() - 700.0, -700.0]);
        assert!((shares[1] - 0.6).abs() < 1e-12 && (shares[0] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn places_tell_a_liking_for_the_first_option() {
        let records = [record("A319", "A320", &[]), record("A320", "A320", &[])];
        assert_eq!(places(records.iter()), [(2, 1), (0, 1), (0, 0), (0, 0)]);
    }
}
