//! The contact sheet: anchor, positive and negative side by side, a row for every class, so that a person
//! can look whether neighbours are neighbours.

use crate::commands::read_photo;
use crate::dataset::Triplet;
use crate::evaluate::Row;
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

/// Draws the sheet.
///
/// # Errors
/// A picture cannot be read, or the sheet not written.
pub fn write(path: &Path, rows: &[Row], shown: &[Triplet]) -> Result<()> {
    let count = shown.len() as u32;
    let blocks = count.div_ceil(ROWS).max(1);
    let block_width = 3 * (CELL.0 + GAP) + 2 * GAP;
    let height = count.min(ROWS) * (CELL.1 + GAP) + GAP;
    let mut sheet = RgbImage::from_pixel(blocks * block_width, height, Rgb([255; 3]));
    for (place, triplet) in (0..).zip(shown) {
        let (left, top) = (place / ROWS * block_width + GAP, place % ROWS * (CELL.1 + GAP) + GAP);
        for (column, picture) in (0..).zip([triplet.anchor, triplet.positive, triplet.negative]) {
            let photo = read_photo(&rows[picture].image_path)?;
            let scale = (f64::from(CELL.0) / f64::from(photo.width()))
                .min(f64::from(CELL.1) / f64::from(photo.height()));
            let side = |length: u32| ((f64::from(length) * scale) as u32).max(1);
            let small = resize(&photo, side(photo.width()), side(photo.height()), FilterType::Triangle);
            overlay(&mut sheet, &small, i64::from(left + column * (CELL.0 + GAP)), i64::from(top));
        }
    }
    sheet.save(path).with_context(|| format!("cannot write {}", path.display()))
}
