//! CUB-200-2011, <https://www.vision.caltech.edu/datasets/cub_200_2011/>: `images/`, `images.txt`, `classes.txt`,
//! `image_class_labels.txt`, `train_test_split.txt`.

use super::{Part, Row, columns, readable};
use anyhow::{Context, Result};
use std::path::Path;

/// Pictures in order of `images.txt`.
///
/// # Errors
/// A list is missing, or lacks a picture or class.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let list = |name: &str| columns::read_map(&root.join(name));
    let (classes, labels, split) =
        (list("classes.txt")?, list("image_class_labels.txt")?, list("train_test_split.txt")?);
    let mut rows = Vec::new();
    for (id, image) in columns::read(&root.join("images.txt"))? {
        let lacks = |file: &str| {
            format!(
                "{} has no line for picture {id}\nhint: unpack the official archive anew",
                root.join(file).display()
            )
        };
        let class = labels.get(&id).with_context(|| lacks("image_class_labels.txt"))?;
        let name = classes.get(class).with_context(|| lacks("classes.txt"))?;
        let is_test = split.get(&id).with_context(|| lacks("train_test_split.txt"))? != "1";
        if part.admits(is_test) {
            // 001.Black_footed_Albatross
            let name = name.split_once('.').map_or(name.as_str(), |(_, name)| name);
            rows.push((format!("images/{image}"), readable(name)));
        }
    }
    Ok(rows)
}
