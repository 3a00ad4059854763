//! The files of rows that a recipe names.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Kinds of files with rows. Of files in a folder that differ in this alone, the first counts.
const KINDS: [&str; 2] = ["jsonl", "parquet"];
/// Looked for in folders that have neither: much else is written as JSON.
const OTHER_KIND: &str = "json";

/// The files of rows that a path stands for: itself, or those in a folder by name.
///
/// # Errors
/// There is nothing, or a folder without rows.
pub fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        ensure!(
            path.exists(),
            "{} is missing\nhint: data.train_files names files of rows on this machine; `trainer-native triplets` makes \
             them from labelled pictures",
            path.display()
        );
        return Ok(vec![path.to_path_buf()]);
    }
    let mut names = Vec::new();
    let unreadable = || format!("cannot read {}\nhint: check data.train_files", path.display());
    for entry in fs::read_dir(path).with_context(unreadable)? {
        let file = entry.with_context(unreadable)?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if file.is_file() && !is_hidden {
            names.push(file);
        }
    }
    let mut files = BTreeMap::new();
    for kind in KINDS {
        for file in of_kind(&names, kind) {
            files.entry(file.with_extension("")).or_insert_with(|| file.clone());
        }
    }
    if files.is_empty() {
        files.extend(of_kind(&names, OTHER_KIND).map(|file| (file.clone(), file.clone())));
    }
    ensure!(
        !files.is_empty(),
        "{} has no rows\nhint: the folder needs .jsonl, .parquet or .json files",
        path.display()
    );
    Ok(files.into_values().collect())
}

fn of_kind<'names>(names: &'names [PathBuf], kind: &'static str) -> impl Iterator<Item = &'names PathBuf> {
    names.iter().filter(move |name| name.extension().is_some_and(|extension| extension == kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;

    #[test]
    fn a_folder_gives_every_file_of_rows_once() {
        let folder = Folder::new();
        let names = |written: &[&str]| -> Vec<String> {
            for name in written {
                fs::write(folder.path().join(name), "").expect("a file");
            }
            let files = files_of(folder.path()).expect("files");
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names(&["b.json", "a.json", "notes.txt", ".c.json"]), ["a.json", "b.json"]);
        assert_eq!(names(&["train-0.parquet"]), ["train-0.parquet"]);
        assert_eq!(names(&["a.jsonl", "a.parquet"]), ["a.jsonl", "train-0.parquet"]);
    }
}
