//! How a set lies on the disk, and how that is recognised.

use anyhow::{Result, bail};
use clap::ValueEnum;
use std::fs;
use std::path::{Path, PathBuf};

/// How a set lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// A folder of pictures per class, perhaps below `train` and `test`.
    Folders,
    /// A table with a header: columns `image` and `label`, perhaps `split`.
    Csv,
    /// A JSON object a line: fields `image` and `label`, perhaps `split`.
    Jsonl,
    /// CUB-200-2011.
    Cub,
    /// Stanford Cars.
    Cars,
    /// Stanford Dogs.
    Dogs,
    /// Oxford Flowers-102.
    Flowers,
    /// Oxford-IIIT Pets.
    Pets,
    /// FGVC-Aircraft, variants.
    Aircraft,
}

/// Layouts that are told by files: all of one line must be there.
const MARKS: [(Layout, &[&str]); 9] = [
    (Layout::Cub, &["images.txt", "image_class_labels.txt", "classes.txt"]),
    (Layout::Cars, &["devkit/cars_meta.mat"]),
    (Layout::Cars, &["cars_annos.mat"]),
    (Layout::Dogs, &["Images", "train_list.mat"]),
    (Layout::Dogs, &["Images", "lists/train_list.mat"]),
    (Layout::Flowers, &["imagelabels.mat", "setid.mat"]),
    (Layout::Pets, &["images", "annotations/trainval.txt"]),
    (Layout::Aircraft, &["data/images_variant_trainval.txt"]),
    (Layout::Aircraft, &["images_variant_trainval.txt"]),
];

impl Layout {
    /// What all pictures of a set show, where the layout says it.
    #[must_use]
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Self::Folders | Self::Csv | Self::Jsonl => None,
            Self::Cub => Some("bird"),
            Self::Cars => Some("car"),
            Self::Dogs => Some("dog"),
            Self::Flowers => Some("flower"),
            Self::Pets => Some("pet"),
            Self::Aircraft => Some("aircraft"),
        }
    }

    /// As data files and `--layout` spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Folders => "folders",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Cub => "cub",
            Self::Cars => "cars",
            Self::Dogs => "dogs",
            Self::Flowers => "flowers",
            Self::Pets => "pets",
            Self::Aircraft => "aircraft",
        }
    }

    /// The layout at `path` and the folder that its files lie in: `path` itself, or the one folder in it that an
    /// archive unpacks to.
    ///
    /// # Errors
    /// There is nothing, or not what `wanted` names.
    pub fn find(path: &Path, wanted: Option<Self>) -> Result<(Self, PathBuf)> {
        if path.is_file() {
            return Self::of_file(path, wanted);
        }
        if !path.is_dir() {
            bail!(
                "{} is missing\nhint: --data names the folder of a set, a .csv or a .jsonl file",
                path.display()
            );
        }
        let found = Self::of_folder(path, wanted);
        match (found, wanted) {
            (Some(found), _) => Ok(found),
            (None, None | Some(Self::Folders)) => Ok((Self::Folders, path.to_owned())),
            (None, Some(wanted)) => bail!(
                "{} has not the layout `{}`: {}\nhint: unpack the official archives into one folder, or leave out \
                 --layout",
                path.display(),
                wanted.name(),
                wanted.lacks()
            ),
        }
    }

    fn of_file(path: &Path, wanted: Option<Self>) -> Result<(Self, PathBuf)> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let layout = match wanted {
            Some(layout @ (Self::Csv | Self::Jsonl)) => layout,
            None if extension == "csv" => Self::Csv,
            None if extension == "jsonl" => Self::Jsonl,
            _ => bail!(
                "{} is a file\nhint: --data names the folder of a set, a .csv or a .jsonl file",
                path.display()
            ),
        };
        Ok((layout, path.parent().unwrap_or(Path::new("")).to_owned()))
    }

    fn of_folder(path: &Path, wanted: Option<Self>) -> Option<(Self, PathBuf)> {
        let known = |folder: &Path| {
            MARKS
                .iter()
                .filter(|(layout, _)| wanted.is_none_or(|wanted| wanted == *layout))
                .find(|(_, marks)| marks.iter().all(|mark| folder.join(mark).exists()))
                .map(|(layout, _)| (*layout, folder.to_owned()))
        };
        if wanted == Some(Self::Folders) {
            return None;
        }
        known(path).or_else(|| {
            let inside: Vec<_> = fs::read_dir(path)
                .ok()?
                .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.is_dir()))
                .filter_map(|folder| known(&folder))
                .collect();
            <[_; 1]>::try_from(inside).ok().map(|[found]| found)
        })
    }

    /// What tells the layout, in words.
    fn lacks(self) -> String {
        let marks: Vec<String> = MARKS
            .iter()
            .filter(|(layout, _)| *layout == self)
            .map(|(_, marks)| marks.join(" and "))
            .collect();
        if marks.is_empty() {
            "it is a folder, not a file".to_owned()
        } else {
            format!("it lacks {}", marks.join(", or "))
        }
    }
}
