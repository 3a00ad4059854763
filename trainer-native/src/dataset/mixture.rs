//! Which rows of which sets a run trains on, and which it only measures itself by.
//!
//! Strategies are those of Hugging Face's `interleave_datasets`, under the names that LlamaFactory gives them:
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/data_utils.py>. Where we differ:
//! 1. Rows are put aside for validation before sets are mixed, so that no row is in both.
//! 2. Draws come from this program's generator: the same weights, another order.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::order::{random_of, shuffle};

/// How several sets become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixStrategy {
    /// All rows of all sets.
    #[default]
    Concat,
    /// Sets in turns, or drawn by their weights, until the first has no more rows.
    InterleaveUnder,
    /// The same until all have given all their rows; sets that end early begin again.
    InterleaveOver,
    /// The same, but sets that end early stay away: every row once, in a mixed order.
    InterleaveOnce,
}

/// Number of a set, and of a row in it.
pub type Place = (usize, usize);

/// Rows to train on and rows to measure by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Rows in their order; those of a set that is drawn from anew come again.
    pub training: Vec<Place>,
    /// Rows that are in no other list.
    pub validation: Vec<Place>,
}

/// One set, as far as choosing needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetSize {
    /// Its rows.
    pub rows: usize,
    /// So many are taken, some of them twice where there are fewer; all rows where absent.
    pub num_samples: Option<usize>,
}

/// Streams of the seed's generator that no epoch reaches.
const PICKING: u64 = u64::MAX;
const SPLITTING: u64 = u64::MAX - 1;
const MIXING: u64 = u64::MAX - 2;

/// Chooses rows; all choices depend on the seed and the numbers of rows alone.
///
/// `validation_rows` gives, for the number of different rows, how many are put aside. `weights` has one
/// number above 0 for every set, or is empty for turns.
#[must_use]
pub fn select(
    sets: &[SetSize],
    strategy: MixStrategy,
    weights: &[f64],
    validation_rows: impl FnOnce(usize) -> usize,
    seed: u64,
) -> Selection {
    let mut random = random_of(seed, PICKING);
    let mut picked: Vec<Vec<usize>> = sets.iter().map(|set| pick(*set, &mut random)).collect();
    let mut different: Vec<Place> = Vec::new();
    for (set, rows) in picked.iter().enumerate() {
        let mut rows = rows.clone();
        rows.sort_unstable();
        rows.dedup();
        different.extend(rows.into_iter().map(|row| (set, row)));
    }
    let aside = validation_rows(different.len());
    shuffle(&mut different, &mut random_of(seed, SPLITTING));
    let mut validation = different.split_off(different.len().saturating_sub(aside));
    validation.sort_unstable();
    for (set, rows) in picked.iter_mut().enumerate() {
        rows.retain(|row| validation.binary_search(&(set, *row)).is_err());
    }
    let counts: Vec<usize> = picked.iter().map(Vec::len).collect();
    let mixed = mix(&counts, strategy, weights, &mut random_of(seed, MIXING));
    let training = mixed.into_iter().map(|(set, index)| (set, picked[set][index])).collect();
    Selection { training, validation }
}

/// Rows of a set of which a certain number is wanted.
fn pick(set: SetSize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..set.rows).collect();
    let Some(wanted) = set.num_samples else { return rows };
    if wanted < set.rows {
        shuffle(&mut rows, random);
        rows.truncate(wanted);
    } else if set.rows > 0 {
        let again = (0..wanted - set.rows).map(|_| random.random_range(0..set.rows));
        let again: Vec<usize> = again.collect();
        rows.extend(again);
    }
    rows
}

/// Joins lists of these lengths; sets without rows stay away.
fn mix(counts: &[usize], strategy: MixStrategy, weights: &[f64], random: &mut ChaCha8Rng) -> Vec<Place> {
    let sets: Vec<usize> = (0..counts.len()).filter(|set| counts[*set] > 0).collect();
    let lengths = sets.iter().map(|set| counts[*set]);
    let (Some(shortest), Some(longest)) = (lengths.clone().min(), lengths.max()) else { return Vec::new() };
    if strategy == MixStrategy::Concat {
        return sets.iter().flat_map(|set| (0..counts[*set]).map(|row| (*set, row))).collect();
    }
    let mut mixed = Vec::new();
    if weights.is_empty() {
        let rounds = if strategy == MixStrategy::InterleaveUnder { shortest } else { longest };
        for round in 0..rounds {
            for set in &sets {
                if strategy != MixStrategy::InterleaveOnce || round < counts[*set] {
                    mixed.push((*set, round % counts[*set]));
                }
            }
        }
        return mixed;
    }
    let mut next = vec![0; counts.len()];
    let mut is_exhausted = vec![false; counts.len()];
    loop {
        let mut exhausted = sets.iter().map(|set| is_exhausted[*set]);
        let is_done = match strategy {
            MixStrategy::InterleaveUnder => exhausted.any(|exhausted| exhausted),
            _ => exhausted.all(|exhausted| exhausted),
        };
        if is_done {
            return mixed;
        }
        let set = draw(&sets, weights, random);
        if strategy == MixStrategy::InterleaveOnce && is_exhausted[set] {
            continue;
        }
        mixed.push((set, next[set]));
        next[set] += 1;
        if next[set] == counts[set] {
            (is_exhausted[set], next[set]) = (true, 0);
        }
    }
}

fn draw(sets: &[usize], weights: &[f64], random: &mut ChaCha8Rng) -> usize {
    let total: f64 = sets.iter().map(|set| weights[*set]).sum();
    let mut left = random.random::<f64>() * total;
    for set in sets {
        left -= weights[*set];
        if left < 0.0 {
            return *set;
        }
    }
    sets[sets.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(counts: &[usize], strategy: MixStrategy, weights: &[f64]) -> Vec<Place> {
        mix(counts, strategy, weights, &mut random_of(3, MIXING))
    }

    #[test]
    fn sets_take_turns_as_their_strategy_says() {
        use MixStrategy::{Concat, InterleaveOnce, InterleaveOver, InterleaveUnder};
        assert_eq!(mixed(&[2, 0, 1], Concat, &[]), [(0, 0), (0, 1), (2, 0)]);
        assert_eq!(mixed(&[3, 1], InterleaveUnder, &[]), [(0, 0), (1, 0)]);
        assert_eq!(mixed(&[3, 1], InterleaveOver, &[]), [(0, 0), (1, 0), (0, 1), (1, 0), (0, 2), (1, 0)]);
        assert_eq!(mixed(&[3, 1], InterleaveOnce, &[]), [(0, 0), (1, 0), (0, 1), (0, 2)]);
        assert!(mixed(&[0, 0], InterleaveOver, &[1.0, 1.0]).is_empty());
    }

    #[test]
    fn weights_decide_how_often_a_set_is_drawn() {
        let weights = [0.8, 0.2];
        let over = mixed(&[2000, 100], MixStrategy::InterleaveOver, &weights);
        let share = over.iter().filter(|(set, _)| *set == 0).count() as f64 / over.len() as f64;
        assert!((share - 0.8).abs() < 0.03, "{share}");
        for row in 0..2000 {
            assert!(over.contains(&(0, row)), "row {row} was never drawn");
        }
        let under = mixed(&[2000, 100], MixStrategy::InterleaveUnder, &weights);
        assert_eq!(under.iter().filter(|(set, _)| *set == 1).count(), 100);
        let mut once = mixed(&[2000, 100], MixStrategy::InterleaveOnce, &weights);
        assert!(!once.is_sorted(), "sets are mixed");
        once.sort_unstable();
        assert_eq!(once, mixed(&[2000, 100], MixStrategy::Concat, &[]));
    }

    #[test]
    fn validation_rows_are_never_trained_on() {
        let sets = [SetSize { rows: 10, num_samples: None }, SetSize { rows: 4, num_samples: Some(9) }];
        for seed in 0..20 {
            let selection = select(&sets, MixStrategy::InterleaveOver, &[0.5, 0.5], |rows| rows / 2, seed);
            assert_eq!(selection.validation.len(), 7);
            let is_apart = selection.validation.iter().all(|row| !selection.training.contains(row));
            assert!(is_apart, "{selection:?}");
        }
        let none = select(&sets, MixStrategy::Concat, &[], |_| 0, 1);
        assert_eq!((none.training.len(), none.validation.len()), (19, 0));
        let fewer = select(&[SetSize { rows: 10, num_samples: Some(3) }], MixStrategy::Concat, &[], |_| 0, 1);
        assert_eq!(fewer.training.len(), 3);
    }
}
