//! Oxford Flowers-102, <https://www.robots.ox.ac.uk/~vgg/data/flowers/102/>: `jpg/`, `imagelabels.mat`, `setid.mat`.
//!
//! The archive numbers its classes only; `data/flower_names.txt` has their names in this order, spelled as in
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/tree/main/eval/data>, where two differ from torchvision's list.

use super::{Part, Row};
use crate::dataset::matlab::MatFile;
use anyhow::{Context, Result};
use std::path::Path;

const NAMES: &str = include_str!("data/flower_names.txt");

/// Pictures in order of the sets: training, validation, testing.
///
/// # Errors
/// A file is missing or malformed.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let names: Vec<&str> = NAMES.lines().collect();
    let path = root.join("imagelabels.mat");
    let file = MatFile::read(&path)?;
    let labels = file.numbers("labels")?;
    let sets = MatFile::read(&root.join("setid.mat"))?;
    let mut rows = Vec::new();
    for (set, is_test) in [("trnid", false), ("valid", false), ("tstid", true)] {
        if !part.admits(is_test) {
            continue;
        }
        for id in sets.numbers(set)? {
            let entry = |list: &[f64]| (*id >= 1.0).then(|| list.get(*id as usize - 1).copied()).flatten();
            let class = entry(labels).with_context(|| {
                format!(
                    "{} has no label for picture {id}\nhint: unpack the official archive anew",
                    path.display()
                )
            })?;
            let name =
                (class >= 1.0).then(|| names.get(class as usize - 1)).flatten().with_context(|| {
                    format!(
                        "{}: picture {id} has the class {class}, expected 1 to 102\nhint: unpack it anew",
                        path.display()
                    )
                })?;
            rows.push((format!("jpg/image_{id:05}.jpg"), (*name).to_owned()));
        }
    }
    Ok(rows)
}
