//! Stanford Dogs, <http://vision.stanford.edu/aditya86/ImageNetDogs/>: `Images/`, and `train_list.mat` and
//! `test_list.mat` beside it or in `lists/`.

use super::{Part, Row, readable};
use crate::dataset::matlab::MatFile;
use anyhow::{Context, Result};
use std::path::Path;

/// Pictures in order of the lists, those for training first.
///
/// # Errors
/// A list is missing or malformed.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, is_test) in [("train_list.mat", false), ("test_list.mat", true)] {
        if !part.admits(is_test) {
            continue;
        }
        let beside = root.join(name);
        let path = if beside.is_file() { beside } else { root.join("lists").join(name) };
        for image in MatFile::read(&path)?.texts("file_list")? {
            // n02085620-Chihuahua/n02085620_5927.jpg
            let label = image
                .split_once('/')
                .and_then(|(folder, _)| folder.split_once('-'))
                .map(|(_, breed)| readable(breed))
                .with_context(|| {
                    format!(
                        "{}: `{image}` names no breed\nhint: unpack the official archive anew",
                        path.display()
                    )
                })?;
            rows.push((format!("Images/{image}"), label));
        }
    }
    Ok(rows)
}
