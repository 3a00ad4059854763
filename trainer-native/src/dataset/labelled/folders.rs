//! A folder per class, as torchvision's `ImageFolder` has it:
//! <https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html>.

use super::{EXTENSIONS, Part, Row, readable};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// Folders that hold a part; without any, all pictures are for training.
const PARTS: [(&str, bool); 4] = [("train", false), ("val", false), ("valid", false), ("test", true)];

/// Folders in order of their names, and so the pictures in each.
///
/// # Errors
/// A folder cannot be read, or there is no picture in any.
pub fn read(root: &Path, part: Part) -> Result<Vec<Row>> {
    let children = names(root)?;
    let parted = children.iter().any(|name| name == "train" && root.join(name).is_dir());
    let mut rows = Vec::new();
    if parted {
        for (name, is_test) in PARTS {
            if part.admits(is_test) && root.join(name).is_dir() {
                rows.extend(read_classes(root, &format!("{name}/"))?);
            }
        }
    } else if part.admits(false) {
        rows = read_classes(root, "")?;
    }
    if rows.is_empty() {
        bail!(
            "{} has no folders with pictures of this part\nhint: --data names a folder that has a folder of pictures for \
             every class; --part all takes every picture",
            root.display()
        );
    }
    Ok(rows)
}

fn read_classes(root: &Path, prefix: &str) -> Result<Vec<Row>> {
    let folder = root.join(prefix);
    let mut rows = Vec::new();
    for class in names(&folder)? {
        let inside = folder.join(&class);
        if !inside.is_dir() || class.starts_with('.') {
            continue;
        }
        for file in names(&inside)? {
            let extension = Path::new(&file).extension().unwrap_or_default().to_ascii_lowercase();
            if EXTENSIONS.iter().any(|known| extension == *known) {
                rows.push((format!("{prefix}{class}/{file}"), readable(&class)));
            }
        }
    }
    Ok(rows)
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let about = || format!("cannot read {}\nhint: check that the folder may be read", folder.display());
    let mut names = fs::read_dir(folder)
        .with_context(about)?
        .map(|entry| Ok(entry.with_context(about)?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
