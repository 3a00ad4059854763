//! Two folders of answers, image by image: which of the two models is better, and could it be chance?
//!
//! McNemar's test in its exact form, on the images that one model has right and the other wrong:
//! <https://doi.org/10.1007/BF02295996>. The interval of the difference is a bootstrap over images.

use super::interval::{Estimate, Resampled};
use super::store::Results;
use super::{Settings, Task, Variant};
use anyhow::{Result, bail};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One measurement of both.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Name of the set.
    pub set: String,
    /// What was asked.
    pub task: Task,
    /// What was changed about it.
    pub variant: Variant,
    /// Images that both have answered.
    pub images: usize,
    /// Share that each has right.
    pub right: [f64; 2],
    /// Second less first.
    pub difference: Estimate,
    /// Images that only the first, and only the second, has right.
    pub only: [usize; 2],
    /// How often chance alone would part them so far.
    pub p_value: f64,
    /// Whether both saw the same photos, order of options and words, and were decoded in the same way.
    pub asked_alike: bool,
}

/// Compares what both folders have answered; of a folder, its result file can be named as well.
///
/// # Errors
/// A folder has no results, or they have nothing in common.
pub fn compare(first: &Path, second: &Path, seed: u64) -> Result<Vec<Comparison>> {
    let [mine, theirs] = [read(first)?, read(second)?];
    let all = by_measurement(&theirs)?;
    let mut found = Vec::new();
    for (key, (settings, id)) in by_measurement(&mine)? {
        let Some((other, other_id)) = all.get(&key) else { continue };
        let pairs: Vec<[bool; 2]> = {
            let others: BTreeMap<usize, bool> =
                theirs.of(other_id).map(|record| (record.row, record.exact)).collect();
            mine.of(&id)
                .filter_map(|record| others.get(&record.row).map(|exact| [record.exact, *exact]))
                .collect()
        };
        let differences: Vec<f64> =
            pairs.iter().map(|[left, right]| f64::from(i8::from(*right) - i8::from(*left))).collect();
        let Some(resampled) = Resampled::new(&differences, seed) else { continue };
        let count = |which: [bool; 2]| pairs.iter().filter(|pair| **pair == which).count();
        let share = |side: usize| pairs.iter().filter(|pair| pair[side]).count() as f64 / pairs.len() as f64;
        let only = [count([true, false]), count([false, true])];
        found.push(Comparison {
            set: settings.set.clone(),
            task: settings.task,
            variant: settings.variant,
            images: pairs.len(),
            right: [share(0), share(1)],
            difference: resampled.estimate(),
            only,
            p_value: mcnemar(only),
            asked_alike: settings.is_asked_like(other),
        });
    }
    if found.is_empty() {
        bail!(
            "{} and {} have no answers to the same rows\nhint: evaluate both models on the same files with --out",
            first.display(),
            second.display()
        );
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Results> {
    let results = if path.is_file() { Results::read_file(path)? } else { Results::read(path)? };
    if results.settings.is_empty() {
        bail!("{} has no results\nhint: name a folder that was given as --out", path.display());
    }
    Ok(results)
}

type Measurement = (String, String, &'static str, String);

/// The settings of every measurement; there must be one of each.
fn by_measurement(results: &Results) -> Result<BTreeMap<Measurement, (Settings, String)>> {
    let mut found = BTreeMap::new();
    for (id, settings) in &results.settings {
        let title = settings.variant.title(settings.task).to_owned();
        let key = (settings.set.clone(), settings.data_sha256.clone(), settings.task.title(), title);
        if found.insert(key, (settings.clone(), id.clone())).is_some() {
            bail!(
                "`{}` was asked in several ways in one folder\nhint: give every model and prompt an --out of its own",
                settings.set
            );
        }
    }
    Ok(found)
}

/// Two-sided probability of a split at least as uneven, were both sides as likely.
#[must_use]
pub fn mcnemar(only: [usize; 2]) -> f64 {
    let total = only[0] + only[1];
    let ln_half = -std::f64::consts::LN_2 * total as f64;
    let mut ln_choose = 0.0;
    let mut tail = 0.0;
    for drawn in 0..=only[0].min(only[1]) {
        if drawn > 0 {
            ln_choose += ((total - drawn + 1) as f64 / drawn as f64).ln();
        }
        tail += (ln_choose + ln_half).exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_agrees_with_hand_computed_cases() {
        // 2 (1 + 10) / 2^10, and 2 / 2^5.
        assert!((mcnemar([1, 9]) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((mcnemar([0, 5]) - 0.0625).abs() < 1e-12);
        assert_eq!((mcnemar([0, 0]), mcnemar([3, 3])), (1.0, 1.0));
        // Many images: the normal approximation with continuity gives 0.0017.
        assert!((mcnemar([1000, 1150]) - 0.001_32).abs() < 1e-3);
    }
}
