//! The rows of triplets, with the columns of the released data.

use crate::checkpoint::{create_folder, write_file};
use crate::commands::read_photo;
use crate::dataset::{LabelledImage, Triplet};
use anyhow::{Context, Result};
use fine_r1_core::prompt::question::DEFAULT_QUESTION;
use image::imageops::{FilterType, resize};
use serde_json::{Value, json};
use std::fs;
use std::path::{Component, Path, PathBuf};

/// A question with its three pictures.
#[derive(Debug, Clone)]
pub struct TripletRow {
    /// What is asked, with the tag of the picture.
    pub problem: String,
    /// The true name.
    pub answer: String,
    /// Where the picture lies that is asked about.
    pub anchor: PathBuf,
    /// Where another one of the class lies.
    pub positive: PathBuf,
    /// Where one of the nearest other class lies.
    pub negative: PathBuf,
    /// That class.
    pub negative_label: String,
}

/// The rows. With `same_size`, positives and negatives of another size than their anchor's are written anew into
/// `out`.
///
/// # Errors
/// A picture cannot be read or written.
pub fn rows(
    pictures: &[LabelledImage],
    found: &[Triplet],
    same_size: bool,
    out: &Path,
) -> Result<Vec<TripletRow>> {
    let row = |triplet: &Triplet| {
        let anchor = &pictures[triplet.anchor];
        let size = match same_size {
            true => {
                let photo = read_photo(&anchor.path)?;
                Some((photo.width(), photo.height()))
            }
            false => None,
        };
        let place = |picture: usize, role: &str| {
            let path = &pictures[picture].path;
            match size {
                None => Ok(path.clone()),
                Some(size) => fitted(path, size, &format!("{}-{role}.png", triplet.anchor), out),
            }
        };
        let question = anchor.question.as_deref().unwrap_or(DEFAULT_QUESTION);
        Ok(TripletRow {
            problem: format!("<image>{question}"),
            answer: anchor.label.clone(),
            anchor: anchor.path.clone(),
            positive: place(triplet.positive, "positive")?,
            negative: place(triplet.negative, "negative")?,
            negative_label: pictures[triplet.negative].label.clone(),
        })
    };
    found.iter().map(row).collect()
}

/// A picture of this size: itself, or a copy in `out`.
fn fitted(path: &Path, size: (u32, u32), name: &str, out: &Path) -> Result<PathBuf> {
    let photo = read_photo(path)?;
    if photo.dimensions() == size {
        return Ok(path.to_owned());
    }
    let folder = out.join("images");
    create_folder(&folder)?;
    let copy = folder.join(name);
    resize(&photo, size.0, size.1, FilterType::CatmullRom)
        .save(&copy)
        .with_context(|| format!("cannot write {}", copy.display()))?;
    Ok(copy)
}

/// Writes the rows as JSON lines, with paths as seen from the folder `out`.
///
/// # Errors
/// A picture is gone, or the disk full.
pub fn write(path: &Path, rows: &[TripletRow], out: &Path) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &line(row, out)?.to_string();
        text.push('\n');
    }
    write_file(path, text.as_bytes())
}

/// A row as the released code reads it; ours reads it as well.
fn line(row: &TripletRow, out: &Path) -> Result<Value> {
    Ok(json!({
        "images": [relative(&row.anchor, out)?],
        "problem": row.problem,
        "answer": row.answer,
        "image_noisy": [relative(&row.positive, out)?],
        "image_aug": [relative(&row.negative, out)?],
        "negative_label": row.negative_label,
    }))
}

/// A picture's path as seen from a folder, with `/`.
fn relative(path: &Path, folder: &Path) -> Result<PathBuf> {
    let path = fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut there, mut here) = (path.components().peekable(), folder.components().peekable());
    while there.peek().is_some() && there.peek() == here.peek() {
        there.next();
        here.next();
    }
    let up = here.map(|_| Component::ParentDir.as_os_str());
    let parts: Vec<String> =
        up.chain(there.map(Component::as_os_str)).map(|part| part.to_string_lossy().into_owned()).collect();
    Ok(PathBuf::from(parts.join("/")))
}
