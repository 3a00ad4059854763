//! FGVC-Aircraft, <https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/>: `data/images/` and
//! `data/images_variant_{trainval,test}.txt`; `data` itself may be named too.

use super::{Part, Row, columns};
use anyhow::Result;
use std::path::Path;

/// Pictures in order of the lists, those for training first.
///
/// # Errors
/// A list is missing or malformed.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let prefix = if root.join("data").is_dir() { "data/" } else { "" };
    let mut rows = Vec::new();
    for (name, is_test) in [("trainval", false), ("test", true)] {
        if part.admits(is_test) {
            let list = columns::read(&root.join(format!("{prefix}images_variant_{name}.txt")))?;
            rows.extend(
                list.into_iter().map(|(image, variant)| (format!("{prefix}images/{image}.jpg"), variant)),
            );
        }
    }
    Ok(rows)
}
