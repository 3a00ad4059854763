//! Oxford-IIIT Pets, <https://www.robots.ox.ac.uk/~vgg/data/pets/>: `images/`, `annotations/trainval.txt`,
//! `annotations/test.txt`.

use super::{Part, Row, columns, readable};
use anyhow::{Context, Result};
use std::path::Path;

/// Pictures in order of the lists, those for training first.
///
/// # Errors
/// A list is missing or malformed.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, is_test) in [("trainval.txt", false), ("test.txt", true)] {
        if !part.admits(is_test) {
            continue;
        }
        let path = root.join("annotations").join(name);
        for (image, _) in columns::read(&path)? {
            // american_bulldog_203
            let (breed, _) = image.rsplit_once('_').with_context(|| {
                format!(
                    "{}: `{image}` names no breed\nhint: unpack the official archive anew",
                    path.display()
                )
            })?;
            rows.push((format!("images/{image}.jpg"), readable(breed)));
        }
    }
    Ok(rows)
}
