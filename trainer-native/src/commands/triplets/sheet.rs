//! The contact sheet: anchor, positive and negative side by side, a row for every class, so that a person
//! can look whether neighbours are neighbours. What the pictures show stands in the page beside it.

use crate::commands::read_photo;
use crate::dataset::{LabelledImage, Triplet};
use anyhow::{Context, Result};
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use std::path::Path;

/// Room for a picture, in pixels.
const CELL: (u32, u32) = (160, 100);
/// Between pictures, in pixels.
const GAP: u32 = 6;
/// Rows under each other before the next column of rows begins.
const ROWS: u32 = 20;

/// A triplet that is shown.
pub struct Shown {
    /// The class of anchor and positive.
    pub label: String,
    /// The class of the negative.
    pub negative_label: String,
    /// Small copies of anchor, positive and negative.
    pub pictures: [RgbImage; 3],
    /// Their files, without folders.
    pub files: [String; 3],
}

impl Shown {
    /// Makes the small copies.
    ///
    /// # Errors
    /// A picture cannot be read.
    pub fn new(pictures: &[LabelledImage], triplet: Triplet) -> Result<Self> {
        let [anchor, positive, negative] =
            [triplet.anchor, triplet.positive, triplet.negative].map(|picture| &pictures[picture]);
        let file = |picture: &LabelledImage| {
            picture.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
        };
        Ok(Self {
            label: anchor.label.clone(),
            negative_label: negative.label.clone(),
            pictures: [small(&anchor.path)?, small(&positive.path)?, small(&negative.path)?],
            files: [file(anchor), file(positive), file(negative)],
        })
    }
}

fn small(path: &Path) -> Result<RgbImage> {
    let photo = read_photo(path)?;
    let scale =
        (f64::from(CELL.0) / f64::from(photo.width())).min(f64::from(CELL.1) / f64::from(photo.height()));
    let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
    Ok(resize(&photo, side(photo.width()), side(photo.height()), FilterType::Triangle))
}

/// Draws the sheet.
///
/// # Errors
/// The sheet cannot be written.
pub fn write(path: &Path, shown: &[Shown]) -> Result<()> {
    let count = shown.len() as u32;
    let blocks = count.div_ceil(ROWS).max(1);
    let block_width = 3 * (CELL.0 + GAP) + 2 * GAP;
    let height = count.min(ROWS) * (CELL.1 + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(blocks * block_width, height, Rgb([255; 3]));
    for (place, row) in (0..).zip(shown) {
        let (left, top) = (place / ROWS * block_width + GAP, place % ROWS * (CELL.1 + GAP) + GAP);
        for (column, picture) in (0..).zip(&row.pictures) {
            overlay(&mut sheet, picture, i64::from(left + column * (CELL.0 + GAP)), i64::from(top));
        }
    }
    sheet.save(path).with_context(|| format!("cannot write {}", path.display()))
}
