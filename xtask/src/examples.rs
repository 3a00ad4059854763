//! The example photos of the page: held-out images of the airliners, with names to choose among.

use crate::hash::Mixer;
use crate::shell::root;
use crate::tree;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Photos of variants that look different at first sight.
const PHOTOS: [&str; 5] = [
    "images/test_seen/747-400/delta-0.jpg",
    "images/test_seen/737-300/air-baltic-0.jpg",
    "images/test_seen/atr-72/avianca-0.jpg",
    "images/test_seen/a380/etihad-0.jpg",
    "images/test_seen/pa-28/ec-jma-0.jpg",
];

/// Changes the order of all candidates.
const SEED: &str = "20260";

/// A row of `test_seen.jsonl`; its options begin with the truth.
#[derive(Debug, Deserialize)]
struct Row {
    image: String,
    label: String,
    options: Vec<String>,
}

/// An entry of `examples.json`.
#[derive(Debug, Serialize)]
struct Example {
    file: String,
    label: String,
    candidates: Vec<String>,
}

/// Writes the photos, `examples.json` and the photos' licence.
///
/// # Errors
/// The data set lacks a photo, or a file cannot be written.
pub fn publish(out: &Path) -> Result<()> {
    let airliners = root().join("tests/data/airliners");
    let rows = fs::read_to_string(airliners.join("test_seen.jsonl")).context("tests/data/airliners")?;
    let rows = rows.lines().map(serde_json::from_str).collect::<Result<Vec<Row>, _>>()?;
    let mut examples = Vec::new();
    for (index, photo) in PHOTOS.iter().enumerate() {
        let row = rows.iter().find(|row| row.image == *photo);
        let row = row.with_context(|| format!("test_seen.jsonl has no row for {photo}"))?;
        let file = format!("photo-{}.jpg", index + 1);
        tree::copy_file(&airliners.join(photo), &out.join(&file))?;
        examples.push(Example { file, label: row.label.clone(), candidates: shuffled(photo, &row.options) });
    }
    tree::copy_file(&airliners.join("COPYING"), &out.join("COPYING"))?;
    fs::write(out.join("examples.json"), serde_json::to_string_pretty(&examples)? + "\n")?;
    Ok(())
}

/// Always the same order, in which the place tells nothing about the truth.
fn shuffled(photo: &str, options: &[String]) -> Vec<String> {
    let mut options = options.to_vec();
    options.sort_by_cached_key(|option| {
        let mut mixer = Mixer::default();
        [SEED, photo, option].iter().for_each(|piece| mixer.add(piece));
        mixer.finish()
    });
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_example_has_its_photo_and_its_label_among_the_candidates() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        publish(scratch.path()).expect("examples");
        let text = fs::read_to_string(scratch.path().join("examples.json")).expect("a list");
        let examples: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(examples.len(), PHOTOS.len());
        let mut places = Vec::new();
        for example in &examples {
            let file = example["file"].as_str().expect("a file");
            assert!(scratch.path().join(file).exists(), "{file}");
            let candidates = example["candidates"].as_array().expect("candidates");
            assert_eq!(candidates.len(), 4, "{file}");
            places.push(candidates.iter().position(|name| *name == example["label"]).expect("the truth"));
        }
        assert!(places.iter().any(|place| *place != places[0]), "{places:?}");
    }
}
