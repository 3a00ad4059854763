//! The contact sheet with words: one HTML file that needs nothing beside it.

use super::sheet::Shown;
use crate::checkpoint::write_file;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use minijinja::{Environment, Value, context};
use std::collections::BTreeMap;
use std::path::Path;

const TEMPLATE: &str = include_str!("contact_sheet.html");

/// Of the small pictures.
const JPEG_QUALITY: u8 = 85;

/// Writes the page.
///
/// # Errors
/// The disk is full, or the folder cannot be written.
pub fn write(
    path: &Path,
    shown: &[Shown],
    nearest: &BTreeMap<String, (String, f64)>,
    nearest_by: &str,
) -> Result<()> {
    let rows = shown.iter().map(|row| page_row(row, nearest)).collect::<Result<Vec<_>>>()?;
    let mut environment = Environment::new();
    environment.add_template("contact_sheet.html", TEMPLATE).context("the page's template")?;
    let template = environment.get_template("contact_sheet.html").context("the page's template")?;
    let page = template.render(context! { rows, nearest_by }).context("the page's template")?;
    write_file(path, page.as_bytes())
}

fn page_row(row: &Shown, nearest: &BTreeMap<String, (String, f64)>) -> Result<Value> {
    let labels = [&row.label, &row.label, &row.negative_label];
    let mut pictures = Vec::new();
    for ((picture, file), label) in row.pictures.iter().zip(&row.files).zip(labels) {
        // As it is: escaped slashes would be right, and longer.
        pictures.push(context! { address => Value::from_safe_string(address(picture)?), file, label });
    }
    let likeness = nearest.get(&row.label).map(|(_, likeness)| format!("{likeness:.3}"));
    Ok(context! { label => row.label, likeness, pictures })
}

/// A picture as a `data:` URL.
fn address(picture: &RgbImage) -> Result<String> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
        .encode_image(picture)
        .context("a small copy of a picture")?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;

    #[test]
    fn names_stand_beside_their_pictures_and_are_text() {
        let folder = Folder::new();
        let path = folder.path().join("page.html");
        let shown = Shown {
            label: "<b>A & B".to_owned(),
            negative_label: "C".to_owned(),
            pictures: [(); 3].map(|()| RgbImage::new(2, 2)),
            files: ["1.jpg", "2.jpg", "3.jpg"].map(str::to_owned),
        };
        let nearest = [("<b>A & B".to_owned(), ("C".to_owned(), 0.5))].into();
        write(&path, &[shown], &nearest, "names").expect("a page");
        let page = std::fs::read_to_string(&path).expect("text");
        assert_eq!(page.matches("data:image/jpeg;base64,").count(), 3);
        assert!(page.contains("&lt;b&gt;A &amp; B") && !page.contains("<b>A"), "{page}");
        assert!(page.contains("<figcaption>C") && page.contains("0.500") && page.contains("3.jpg"), "{page}");
    }
}
