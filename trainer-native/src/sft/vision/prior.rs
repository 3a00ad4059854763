//! What a confounder tells of the classes, so that the tower need not learn it.
//!
//! The scores of a picture are trained together with the log-frequencies of the classes among pictures of
//! the same confounder, which are left out afterwards: what paint already tells is no longer rewarded, and
//! what tells apart pictures of the same paint is. A product of experts, one of which knows the bias alone:
//! <https://arxiv.org/abs/1909.03683>, section 3.2.2.

use super::Classes;
use crate::dataset::Conversation;
use std::collections::BTreeMap;

/// Pictures, spread over all classes, that every confounder is taken to have besides its own.
const UNSEEN: f32 = 1.0;

/// Log-frequencies of the classes by confounder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prior(BTreeMap<String, Vec<f32>>);

impl Prior {
    /// Counts the classes of all rows that have a confounder.
    #[must_use]
    pub fn of(rows: &[&Conversation], classes: &Classes) -> Self {
        let mut counts: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for row in rows {
            if let (Some(confounder), Some(class)) = (&row.confounder, classes.class(row)) {
                counts.entry(confounder.clone()).or_insert_with(|| vec![0.0; classes.len()])[class] += 1.0;
            }
        }
        for frequencies in counts.values_mut() {
            let total = frequencies.iter().sum::<f32>() + UNSEEN;
            for frequency in frequencies.iter_mut() {
                *frequency = ((*frequency + UNSEEN / classes.len() as f32) / total).ln();
            }
        }
        Self(counts)
    }

    /// How many confounders there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The log-frequencies for a row; `None` where nothing is known.
    #[must_use]
    pub fn of_row(&self, row: &Conversation) -> Option<&[f32]> {
        self.0.get(row.confounder.as_deref()?).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sft::vision::classes::tests::row;

    #[test]
    fn frequencies_are_those_among_pictures_of_the_same_confounder() {
        let painted =
            |name: &str, paint: &str| Conversation { confounder: Some(paint.into()), ..row(name, 1) };
        let rows = [
            painted("A", "red"),
            painted("A", "red"),
            painted("B", "red"),
            painted("B", "blue"),
            row("A", 1),
        ];
        let rows: Vec<_> = rows.iter().collect();
        let classes = Classes::of(&rows).expect("two classes");
        let prior = Prior::of(&rows, &classes);
        let found =
            |paint| prior.of_row(&painted("A", paint)).map(|logs| logs.iter().map(|log| log.exp()).collect());
        let close = |found: Option<Vec<f32>>, expected: [f32; 2]| {
            let found = found.expect("a known paint");
            assert!(
                found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6),
                "{found:?}"
            );
        };
        close(found("red"), [2.5 / 4.0, 1.5 / 4.0]);
        close(found("blue"), [0.5 / 2.0, 1.5 / 2.0]);
        assert_eq!((prior.len(), found("green")), (2, None));
        assert_eq!(prior.of_row(rows[4]), None);
    }
}
