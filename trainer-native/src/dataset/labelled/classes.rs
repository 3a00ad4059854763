//! Which classes are taken: all, the released seen or unseen ones, or those that a file names.
//!
//! Fine-R1 parted the classes of six sets at random, 60 to 40. The parts are defined by its evaluation files
//! (<https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/tree/84cdc5c/eval/data>), from which
//! `data/released_classes.json` has the names.

use super::{LabelledSet, Layout};
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::LazyLock;

/// Makers that the released names begin with and FGVC-Aircraft's do not.
const ADDED_MAKERS: [&str; 2] = ["boeing ", "airbus "];

/// Which classes are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// Those that Fine-R1 trained on.
    Seen,
    /// Those that it kept for testing.
    Unseen,
    /// Those that a file names: one a line, or `ground_truth` or `label` of a `.jsonl` file.
    File(PathBuf),
}

impl FromStr for Classes {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "seen" => Self::Seen,
            "unseen" => Self::Unseen,
            path => Self::File(path.into()),
        })
    }
}

#[derive(Debug, Deserialize)]
struct Released {
    seen: Vec<String>,
    unseen: Vec<String>,
}

/// By layout.
static RELEASED: LazyLock<BTreeMap<String, Released>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("data/released_classes.json")).expect("the file is part of the program")
});

/// Released spellings by key, by layout.
static SPELLINGS: LazyLock<BTreeMap<&str, HashMap<String, &str>>> = LazyLock::new(|| {
    let spellings = RELEASED.iter().map(|(layout, classes)| {
        let names = classes.seen.iter().chain(&classes.unseen);
        (layout.as_str(), names.map(|name| (key(name), name.as_str())).collect())
    });
    spellings.collect()
});

/// How the released files spell a class of one of the six sets.
#[must_use]
pub fn released_spelling(layout: Layout, label: &str) -> Option<&'static str> {
    SPELLINGS.get(layout.name())?.get(&key(label)).copied()
}

/// A name without what differs between the sets and the released files: case, `_` and `-`, added makers.
fn key(name: &str) -> String {
    let lower = name.to_lowercase().replace(['_', '-'], " ");
    let words = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let bare = ADDED_MAKERS.iter().find_map(|maker| words.strip_prefix(maker));
    bare.map_or(words.clone(), str::to_owned)
}

impl Classes {
    /// Keeps the pictures of these classes. Returns the names of wanted classes that have no picture.
    ///
    /// # Errors
    /// The released files know nothing of this set, the file is missing or malformed, or no picture is left.
    pub fn keep(&self, set: &mut LabelledSet) -> Result<Vec<String>> {
        let wanted = self.names(set.layout)?;
        let keys: BTreeSet<String> = wanted.iter().map(|name| key(name)).collect();
        set.images.retain(|image| keys.contains(&key(&image.label)));
        if set.images.is_empty() {
            bail!(
                "no picture is of one of the {} wanted classes\nhint: --classes takes seen, unseen, or a file with the \
                 names of classes, one a line",
                wanted.len()
            );
        }
        let found: BTreeSet<String> = set.images.iter().map(|image| key(&image.label)).collect();
        Ok(wanted.into_iter().filter(|name| !found.contains(&key(name))).collect())
    }

    fn names(&self, layout: Layout) -> Result<Vec<String>> {
        let released = || {
            RELEASED.get(layout.name()).with_context(|| {
                format!(
                    "the released files part no set of the layout `{}`\nhint: --classes FILE takes the names of classes, \
                     one a line",
                    layout.name()
                )
            })
        };
        match self {
            Self::Seen => Ok(released()?.seen.clone()),
            Self::Unseen => Ok(released()?.unseen.clone()),
            Self::File(path) => read_names(path),
        }
    }
}

fn read_names(path: &Path) -> Result<Vec<String>> {
    let is_jsonl = path.extension().is_some_and(|extension| extension == "jsonl");
    let mut names = BTreeSet::new();
    for (index, line) in read_text(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if !is_jsonl {
            names.insert(line.trim().to_owned());
            continue;
        }
        let at = || format!("{}:{}", path.display(), index + 1);
        let row: Value = serde_json::from_str(line).with_context(at)?;
        let name = ["ground_truth", "label"].iter().find_map(|field| row.get(field)?.as_str());
        names.insert(
            name.with_context(|| format!("{} has no `ground_truth`\nhint: evaluation files have one", at()))?
                .to_owned(),
        );
    }
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_split_has_the_published_counts_and_no_name_twice() {
        let counts: Vec<(usize, usize)> = ["aircraft", "cub", "cars", "dogs", "flowers", "pets"]
            .map(|layout| (RELEASED[layout].seen.len(), RELEASED[layout].unseen.len()))
            .to_vec();
        assert_eq!(counts, [(60, 40), (120, 80), (117, 79), (72, 48), (61, 41), (22, 15)]);
        for (layout, classes) in &*RELEASED {
            assert_eq!(
                SPELLINGS[layout.as_str()].len(),
                classes.seen.len() + classes.unseen.len(),
                "{layout}"
            );
        }
    }

    #[test]
    fn sets_and_released_files_spell_differently() {
        for (layout, own, released) in [
            (Layout::Cub, "Black footed Albatross", "Black Footed Albatross"),
            (Layout::Dogs, "black-and-tan coonhound", "Black And Tan Coonhound"),
            (Layout::Pets, "american bulldog", "American Bulldog"),
            (Layout::Aircraft, "707-320", "Boeing 707-320"),
            (Layout::Aircraft, "A320", "Airbus A320"),
            (Layout::Aircraft, "Boeing 717", "Boeing 717"),
            (Layout::Cars, "Ram C/V Cargo Van Minivan 2012", "Ram C/V Cargo Van Minivan 2012"),
        ] {
            assert_eq!(released_spelling(layout, own), Some(released));
        }
        assert_eq!(released_spelling(Layout::Folders, "A320"), None);
        assert_eq!(released_spelling(Layout::Aircraft, "Concorde"), None);
    }

    #[test]
    fn every_flower_has_a_released_name() {
        let names: BTreeSet<&str> = include_str!("data/flower_names.txt").lines().collect();
        assert_eq!(names.len(), 102);
        assert!(names.iter().all(|name| released_spelling(Layout::Flowers, name) == Some(name)));
    }
}
