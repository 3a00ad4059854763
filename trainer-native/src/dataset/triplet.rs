//! Triplets: for every anchor another picture of its class and one of the class that looks most like it.
//!
//! Section 4.3 of <https://arxiv.org/abs/2602.07605>. How the authors found the most similar class is not
//! published.

use super::epoch_order;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Pictures of a class, by their numbers.
pub type ImagesByClass = BTreeMap<String, Vec<usize>>;

/// Three pictures by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Triplet {
    /// The picture that is asked about.
    pub anchor: usize,
    /// Another one of its class.
    pub positive: usize,
    /// One of the nearest other class.
    pub negative: usize,
}

/// Pictures by class. `labels` has the class of every picture.
#[must_use]
pub fn classes(labels: &[String]) -> ImagesByClass {
    let mut classes = ImagesByClass::new();
    for (picture, label) in labels.iter().enumerate() {
        classes.entry(label.clone()).or_default().push(picture);
    }
    classes
}

/// Draws `shots` pictures of every class; all where it has no more, or where `shots` is 0.
#[must_use]
pub fn sample_shots(classes: &ImagesByClass, shots: usize, seed: u64) -> ImagesByClass {
    (0..)
        .zip(classes)
        .map(|(stream, (label, pictures))| {
            let wanted = if shots == 0 { pictures.len() } else { shots.min(pictures.len()) };
            let mut drawn: Vec<usize> = epoch_order(pictures.len(), seed, stream)
                .into_iter()
                .take(wanted)
                .map(|place| pictures[place])
                .collect();
            drawn.sort_unstable();
            (label.clone(), drawn)
        })
        .collect()
}

/// A triplet for every picture; classes of one picture have no other and are left out as anchors. `nearest`
/// has the nearest other class of every class.
#[must_use]
pub fn triplets(classes: &ImagesByClass, nearest: &BTreeMap<String, String>, seed: u64) -> Vec<Triplet> {
    let mut found = Vec::new();
    for (label, pictures) in classes.iter().filter(|(_, pictures)| pictures.len() > 1) {
        let Some(negatives) = nearest.get(label).and_then(|label| classes.get(label)) else { continue };
        for anchor in pictures {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(*anchor as u64);
            let others: Vec<usize> = pictures.iter().copied().filter(|other| other != anchor).collect();
            found.push(Triplet {
                anchor: *anchor,
                positive: others[random.random_range(0..others.len())],
                negative: negatives[random.random_range(0..negatives.len())],
            });
        }
    }
    found
}

/// The nearest other class of every class by the cosine of their mean features, and that cosine. Features
/// are brought to zero mean and unit variance first, so that what all pictures share counts for nothing.
#[must_use]
pub fn nearest_by_features(
    classes: &ImagesByClass,
    features: &BTreeMap<usize, Vec<f64>>,
) -> BTreeMap<String, (String, f64)> {
    let width = features.values().next().map_or(0, Vec::len);
    let count = features.len().max(1) as f64;
    let scaled: Vec<(f64, f64)> = (0..width)
        .map(|column| {
            let mean = features.values().map(|row| row[column]).sum::<f64>() / count;
            let variance = features.values().map(|row| (row[column] - mean).powi(2)).sum::<f64>() / count;
            (mean, 1.0 / (variance.sqrt() + 1e-9))
        })
        .collect();
    let centres: BTreeMap<&String, Vec<f64>> = classes
        .iter()
        .map(|(label, pictures)| {
            let centre = (0..width)
                .map(|column| {
                    let (mean, scale) = scaled[column];
                    pictures.iter().map(|picture| (features[picture][column] - mean) * scale).sum::<f64>()
                        / pictures.len() as f64
                })
                .collect();
            (label, centre)
        })
        .collect();
    nearest_by(classes, |left, right| cosine(&centres[left], &centres[right]))
}

/// The other class of every class for which `likeness` is largest, and that likeness.
#[must_use]
pub fn nearest_by(
    classes: &ImagesByClass,
    likeness: impl Fn(&String, &String) -> f64,
) -> BTreeMap<String, (String, f64)> {
    classes
        .keys()
        .filter_map(|label| {
            let others = classes.keys().filter(|other| *other != label);
            let (other, most) = others
                .map(|other| (other, likeness(label, other)))
                .max_by(|left, right| left.1.total_cmp(&right.1))?;
            Some((label.clone(), (other.clone(), most)))
        })
        .collect()
}

fn cosine(left: &[f64], right: &[f64]) -> f64 {
    let dot = |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(x, y)| x * y).sum::<f64>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt().max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> ImagesByClass {
        classes(&["a", "a", "a", "b", "b", "c", "c"].map(str::to_owned))
    }

    #[test]
    fn positives_share_the_class_and_negatives_come_from_the_nearest() {
        let nearest = [("a", "b"), ("b", "a"), ("c", "b")].map(|(x, y)| (x.to_owned(), y.to_owned())).into();
        let found = triplets(&three(), &nearest, 1);
        assert_eq!(
            found.iter().map(|triplet| triplet.anchor).collect::<Vec<_>>(),
            (0..7).collect::<Vec<_>>()
        );
        for Triplet { anchor, positive, negative } in &found {
            let class =
                |picture: usize| three().into_iter().find(|(_, all)| all.contains(&picture)).expect("one").0;
            assert!(positive != anchor && class(*positive) == class(*anchor));
            let expected: &str = if class(*anchor) == "b" { "a" } else { "b" };
            assert_eq!(class(*negative), expected);
        }
        assert_eq!(found, triplets(&three(), &nearest, 1));
    }

    #[test]
    fn shots_are_drawn_by_seed() {
        let shots = |seed| sample_shots(&three(), 2, seed);
        assert!(shots(1).values().all(|pictures| pictures.len() == 2));
        assert_eq!(shots(1), shots(1));
        assert!((2..9).any(|seed| shots(seed) != shots(1)));
        assert_eq!(sample_shots(&three(), 0, 1), three());
    }

    #[test]
    fn features_tell_which_class_is_near() {
        // The first dimension is large and has the same mean in every class; the second one tells.
        let rows =
            [[100.0, 1.0], [103.0, 1.1], [97.0, 0.9], [99.0, 0.8], [101.0, 0.7], [98.0, -5.0], [102.0, -5.1]];
        let features = rows.iter().map(|row| row.to_vec()).enumerate().collect();
        let nearest = nearest_by_features(&three(), &features);
        assert_eq!(nearest["a"].0, "b");
        assert_eq!(nearest["b"].0, "a");
        assert!(nearest["a"].1 > 0.9, "{nearest:?}");
    }
}
