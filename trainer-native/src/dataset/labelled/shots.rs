//! A few pictures of every class, chosen by a seed.

use super::LabelledImage;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Keeps `shots` pictures of every class, or all where there are fewer, in their order. The choice within a class
/// depends on the seed, the class and its pictures alone. Returns the classes that have fewer.
pub fn few_shots(images: &mut Vec<LabelledImage>, shots: usize, seed: u64) -> Vec<String> {
    let mut classes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for image in &*images {
        classes.entry(image.label.clone()).or_default().push(image.name.clone());
    }
    let mut chosen = BTreeSet::new();
    let mut fewer = Vec::new();
    for (label, mut names) in classes {
        if names.len() < shots {
            fewer.push(label.clone());
        }
        names.sort();
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(&label);
        let mut random = ChaCha8Rng::from_seed(hash.finalize().into());
        names.shuffle(&mut random);
        names.truncate(shots);
        chosen.extend(names);
    }
    images.retain(|image| chosen.contains(&image.name));
    fewer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(classes: &[(&str, usize)]) -> Vec<LabelledImage> {
        let rows = classes.iter().flat_map(|(label, count)| {
            (0..*count).map(move |number| {
                let name = format!("{label}/{number}.jpg");
                LabelledImage { path: (&name).into(), name, label: (*label).to_owned(), question: None }
            })
        });
        rows.collect()
    }

    fn names(images: &[LabelledImage]) -> Vec<&str> {
        images.iter().map(|image| image.name.as_str()).collect()
    }

    #[test]
    fn every_class_has_its_shots_and_the_seed_decides() {
        let all = images(&[("a", 30), ("b", 30), ("c", 2)]);
        let draw = |seed| {
            let mut some = all.clone();
            assert_eq!(few_shots(&mut some, 4, seed), ["c"]);
            some
        };
        let some = draw(1);
        for (label, count) in [("a", 4), ("b", 4), ("c", 2)] {
            assert_eq!(some.iter().filter(|image| image.label == label).count(), count);
        }
        assert_eq!(some, draw(1));
        assert_ne!(names(&some), names(&draw(2)));
        // Another class beside, or another order, changes nothing.
        let mut other = images(&[("d", 9), ("b", 30)]);
        other.reverse();
        few_shots(&mut other, 4, 1);
        let mut of_b: Vec<&str> = names(&other).into_iter().filter(|name| name.starts_with('b')).collect();
        of_b.sort_unstable();
        let mut expected: Vec<&str> = names(&some).into_iter().filter(|name| name.starts_with('b')).collect();
        expected.sort_unstable();
        assert_eq!(of_b, expected);
    }
}
