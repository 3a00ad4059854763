//! `cargo xtask recognize`: the main job on the embedded model, in the terminal.

use crate::shell::{root, run as step, trainer};
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// One photo of each of some variants, from the held-out test images.
const SAMPLES: [&str; 4] = [
    "tests/data/airliners/images/test_seen/747-400/delta-0.jpg",
    "tests/data/airliners/images/test_seen/737-300/air-baltic-0.jpg",
    "tests/data/airliners/images/test_seen/atr-72/avianca-0.jpg",
    "tests/data/airliners/images/test_seen/pa-28/ec-jma-0.jpg",
];

/// Paths of the sample photos.
#[must_use]
pub fn samples() -> Vec<PathBuf> {
    SAMPLES.iter().map(|sample| root().join(sample)).collect()
}

/// Recognises the sample photos, or the given ones.
///
/// # Errors
/// The program does not build or a photo cannot be recognised.
pub fn run(release: bool, photos: &[PathBuf]) -> Result<()> {
    let binary = trainer(release)?;
    let samples = samples();
    let photos = if photos.is_empty() { samples.as_slice() } else { photos };
    step("recognize", Command::new(binary).arg("recognize").args(photos))
}
