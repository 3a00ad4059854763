//! Folders with everything in them: listed, copied, made anew.

use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// All files below a folder, as sorted relative paths with `/`.
///
/// # Errors
/// A folder cannot be read.
pub fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    collect(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn collect(folder: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect(&entry.path(), &format!("{name}/"), found)?;
        } else {
            found.push(name);
        }
    }
    Ok(())
}

/// Copies a file and makes the folders that it needs.
///
/// # Errors
/// One of the two cannot be read or written.
pub fn copy_file(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Copies all files below a folder over what lies in another.
///
/// # Errors
/// A file cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        copy_file(&from.join(&file), &to.join(&file))?;
    }
    Ok(())
}

/// Deletes a folder, where there is one.
///
/// # Errors
/// It cannot be deleted.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot delete {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// An empty folder.
///
/// # Errors
/// What is there cannot be deleted, or it cannot be made.
pub fn fresh(folder: &Path) -> Result<()> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_whole() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let [from, to] = ["from", "to"].map(|name| scratch.path().join(name));
        for file in ["b", "a/c", "a/d/e"] {
            let path = from.join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("folders");
            fs::write(path, file).expect("a file");
        }
        copy(&from, &to).expect("it is copied");
        assert_eq!(files(&to).expect("it is listed"), ["a/c", "a/d/e", "b"]);
        assert_eq!(fs::read_to_string(to.join("a/d/e")).expect("a file"), "a/d/e");
        remove(&to).expect("it is deleted");
        remove(&to).expect("what is absent is deleted already");
    }
}
