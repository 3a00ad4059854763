//! The released evaluation files as they are: `{image_path, question, options[4], ground_truth}`, a line each.

use super::Row;
use super::photos::{place_photos, refuse_missing};
use super::rows::plain;
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Whether a set's classes were in training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// They were.
    Seen,
    /// They were not.
    Unseen,
}

/// A file of rows.
#[derive(Debug, Clone)]
pub struct DataSet {
    /// `aircraft_seen`
    pub name: String,
    /// `aircraft`
    pub dataset: String,
    /// Where the name says it.
    pub split: Option<Split>,
    /// The file.
    pub file: PathBuf,
    /// Of the file's bytes.
    pub sha256: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// As the file has it; some files carry two spellings of the same field.
#[derive(Deserialize)]
struct Line {
    image_path: Option<String>,
    image: Option<String>,
    #[serde(default)]
    question: String,
    #[serde(default)]
    options: Vec<String>,
    ground_truth: Option<String>,
    label: Option<String>,
}

/// Reads all sets; every photo must be there.
///
/// # Errors
/// A file or photo is missing, a line malformed, or two sets have the same name; the message names
/// file and line, and all missing photos.
pub fn read_sets(files: &[PathBuf], roots: &[String]) -> Result<Vec<DataSet>> {
    let mut sets: Vec<DataSet> = Vec::new();
    for file in files {
        let set = DataSet::read(file)?;
        if let Some(other) = sets.iter().find(|other| other.name == set.name) {
            bail!(
                "{} and {} would both be called `{}`\nhint: give files of different names",
                other.file.display(),
                file.display(),
                set.name
            );
        }
        sets.push(set);
    }
    place_photos(&mut sets, roots)?;
    refuse_missing(&sets)?;
    Ok(sets)
}

impl DataSet {
    /// Reads one file; its photos lie relative to it until [`read_sets`] places them.
    ///
    /// # Errors
    /// The file is missing, empty, or a line malformed.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let at = || format!("{}:{}", path.display(), index + 1);
            let line: Line = serde_json::from_str(line).with_context(|| {
                format!("{}\nhint: every line is {{image_path, question, options, ground_truth}}", at())
            })?;
            let (Some(image), Some(ground_truth)) =
                (line.image_path.or(line.image), line.ground_truth.or(line.label))
            else {
                bail!("{}: no `image_path` or no `ground_truth`\nhint: complete the line", at());
            };
            if !line.options.is_empty() && !line.options.contains(&ground_truth) {
                bail!(
                    "{}: the true name `{ground_truth}` is not among the options\nhint: add it to them",
                    at()
                );
            }
            for (place, option) in line.options.iter().enumerate() {
                if let Some(other) = line.options[..place].iter().find(|other| plain(other) == plain(option))
                {
                    bail!(
                        "{}: the options `{other}` and `{option}` are one name, letter case aside\n\
                         hint: give every option once",
                        at()
                    );
                }
            }
            let image_path = folder.join(&image);
            rows.push(Row {
                image,
                image_path,
                question: line.question,
                options: line.options,
                ground_truth,
            });
        }
        if rows.is_empty() {
            bail!("{} has no rows\nhint: give a file with a JSON object a line", path.display());
        }
        let (name, dataset, split) = names(path);
        Ok(Self { name, dataset, split, file: path.to_owned(), sha256: sha256(text.as_bytes()), rows })
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// Name, data set and split. `test_seen.jsonl` of a folder `airliners` is that folder's.
fn names(path: &Path) -> (String, String, Option<Split>) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = text(path.file_stem());
    for (ending, split) in [("_unseen", Split::Unseen), ("_seen", Split::Seen)] {
        let Some(dataset) = stem.strip_suffix(ending) else { continue };
        let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let dataset = match (dataset, text(folder.parent().and_then(Path::file_name))) {
            ("test", folder) if !folder.is_empty() => folder,
            (dataset, _) => dataset.to_owned(),
        };
        return (format!("{dataset}{ending}"), dataset, Some(split));
    }
    (stem.clone(), stem, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_after_its_data_set_and_split() {
        let name = |path: &str| names(Path::new(path));
        assert_eq!(name("x/bird_seen.jsonl"), ("bird_seen".into(), "bird".into(), Some(Split::Seen)));
        assert_eq!(name("x/bird_unseen.jsonl"), ("bird_unseen".into(), "bird".into(), Some(Split::Unseen)));
        assert_eq!(name("x/mine.jsonl"), ("mine".into(), "mine".into(), None));
        let airliners = name("data/airliners/test_seen.jsonl");
        assert_eq!(airliners, ("airliners_seen".into(), "airliners".into(), Some(Split::Seen)));
    }
}
