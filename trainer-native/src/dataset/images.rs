//! Where the images of a row are: paths, `data:` URLs, base64, or the files themselves inside Parquet.

use super::{Cell, RowError};
use crate::bounded::read_image;
use anyhow::{Context, Result};
use base64::prelude::BASE64_STANDARD;
use base64::{DecodeError, Engine};
use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Characters of base64 that have the beginning of an encoded image, by which it is told from a path.
const BEGINNING: usize = 40;

/// An image of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// A file of its own.
    File(PathBuf),
    /// An image file inside a row.
    Inside {
        /// What to call it in messages.
        name: String,
        /// The encoded file.
        bytes: Arc<[u8]>,
    },
}

impl ImageSource {
    /// The encoded file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::File(path) => Ok(Cow::Owned(read_image(path)?)),
            Self::Inside { bytes, .. } => Ok(Cow::Borrowed(bytes)),
        }
    }

    /// The first bytes of the encoded file, at most `count`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read_beginning(&self, count: usize) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::File(path) => {
                let mut bytes = Vec::with_capacity(count);
                File::open(path)
                    .and_then(|file| file.take(count as u64).read_to_end(&mut bytes))
                    .with_context(|| format!("cannot read {}\nhint: check the path", path.display()))?;
                Ok(Cow::Owned(bytes))
            }
            Self::Inside { bytes, .. } => Ok(Cow::Borrowed(&bytes[..count.min(bytes.len())])),
        }
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::File(path) => path.to_string_lossy(),
            Self::Inside { name, .. } => name.into(),
        }
    }

    /// The image that a path or a `data:` URL names, or that stands there as base64; `number` counts the images of
    /// the row from 1.
    ///
    /// # Errors
    /// It is an address elsewhere, or is not encoded as it says.
    pub fn at(address: &str, number: usize, media_dir: &Path) -> Result<Self, RowError> {
        let wrong = |reason: String| RowError::ImageAddress { number, reason };
        if let Some(data) = address.strip_prefix("data:") {
            let Some((_, encoded)) = data.split_once(";base64,") else {
                return Err(wrong("a data: URL that is not base64".to_owned()));
            };
            let bytes = decode(encoded).map_err(|error| wrong(format!("a damaged data: URL: {error}")))?;
            return Ok(Self::inside(bytes, number));
        }
        if address.starts_with("http://") || address.starts_with("https://") {
            return Err(wrong("an address in the network, and nothing is downloaded".to_owned()));
        }
        let path = media_dir.join(address.strip_prefix("file://").unwrap_or(address));
        if is_encoded(address) && !path.is_file() {
            let bytes = decode(address).map_err(|error| wrong(format!("damaged base64: {error}")))?;
            return Ok(Self::inside(bytes, number));
        }
        Ok(Self::File(path))
    }

    fn inside(bytes: impl Into<Arc<[u8]>>, number: usize) -> Self {
        Self::Inside { name: format!("image {number}"), bytes: bytes.into() }
    }
}

/// Whether base64 of an image file begins here.
fn is_encoded(text: &str) -> bool {
    let beginning = text.get(..BEGINNING).and_then(|beginning| BASE64_STANDARD.decode(beginning).ok());
    beginning.is_some_and(|bytes| image::guess_format(&bytes).is_ok())
}

/// Base64, perhaps in lines.
fn decode(encoded: &str) -> Result<Vec<u8>, DecodeError> {
    if encoded.contains(char::is_whitespace) {
        return BASE64_STANDARD.decode(encoded.split_whitespace().collect::<String>());
    }
    BASE64_STANDARD.decode(encoded)
}

/// The images of a row's field: one or a list of paths, `data:` URLs, base64, bytes, or of
/// `{"bytes": …, "path": …}`.
///
/// # Errors
/// Something else stands there.
pub fn read_images(row: &Cell, field: &str, media_dir: &Path) -> Result<Vec<ImageSource>, RowError> {
    let cells = match row.get(field) {
        None => return Ok(Vec::new()),
        Some(Cell::List(cells)) => cells.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let read = |(index, cell): (usize, &Cell)| {
        let number = index + 1;
        match (cell, cell.get("bytes"), cell.get("path")) {
            (Cell::Text(address), _, _) => ImageSource::at(address, number, media_dir),
            (Cell::Bytes(bytes), _, _) | (_, Some(Cell::Bytes(bytes)), _) => {
                Ok(ImageSource::inside(Arc::clone(bytes), number))
            }
            // JSON has no bytes: base64 or a list of numbers stands for them.
            (_, Some(Cell::Text(encoded)), _) if encoded.starts_with("data:") => {
                ImageSource::at(encoded, number, media_dir)
            }
            (_, Some(Cell::Text(encoded)), _) => {
                let bytes = decode(encoded).map_err(|error| RowError::ImageAddress {
                    number,
                    reason: format!("damaged base64: {error}"),
                })?;
                Ok(ImageSource::inside(bytes, number))
            }
            (_, Some(Cell::List(numbers)), _) => {
                let bytes: Option<Vec<u8>> = numbers.iter().map(byte).collect();
                let bytes = bytes.ok_or_else(|| RowError::ImageAddress {
                    number,
                    reason: "a list with something else than numbers from 0 to 255".to_owned(),
                })?;
                Ok(ImageSource::inside(bytes, number))
            }
            (_, None, Some(Cell::Text(path))) => ImageSource::at(path, number, media_dir),
            _ => Err(RowError::ImagePath { field: field.to_owned(), found: cell.kind().to_owned() }),
        }
    };
    cells.iter().enumerate().map(read).collect()
}

fn byte(cell: &Cell) -> Option<u8> {
    match cell {
        Cell::Number(number) => number.as_u64()?.try_into().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(images: Value) -> Result<Vec<ImageSource>, RowError> {
        read_images(&json!({ "images": images }).into(), "images", Path::new("media"))
    }

    #[test]
    fn images_are_found_wherever_rows_keep_them() {
        let file = |path: &str| ImageSource::File(path.into());
        assert_eq!(read(json!(null)), Ok(vec![]));
        assert_eq!(read(json!("a.png")), Ok(vec![file("media/a.png")]));
        assert_eq!(
            read(json!(["a.png", { "path": "/b.png" }])),
            Ok(vec![file("media/a.png"), file("/b.png")])
        );
        let bytes: Arc<[u8]> = Arc::from([1, 2, 3]);
        let inside = ImageSource::Inside { name: "image 1".into(), bytes: bytes.clone() };
        assert_eq!(read(json!("data:image/png;base64,AQID")), Ok(vec![inside.clone()]));
        let object = Cell::Object([("bytes".to_owned(), Cell::Bytes(bytes))].into());
        let row = Cell::Object([("images".to_owned(), Cell::List(vec![object]))].into());
        assert_eq!(read_images(&row, "images", Path::new("")), Ok(vec![inside.clone()]));
        for bytes in [json!("AQID"), json!([1, 2, 3]), json!("data:image/png;base64,AQID")] {
            assert_eq!(
                read(json!([{ "bytes": bytes, "path": "a.png" }])),
                Ok(vec![inside.clone()]),
                "{bytes}"
            );
        }
        assert_eq!(read(json!({ "bytes": null, "path": "a.png" })), Ok(vec![file("media/a.png")]));
    }

    #[test]
    fn base64_without_a_word_before_it_is_told_from_paths() {
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        bytes.extend(0..80);
        let encoded = BASE64_STANDARD.encode(&bytes);
        let inside = ImageSource::Inside { name: "image 1".into(), bytes: bytes.into() };
        assert_eq!(read(json!([encoded])), Ok(vec![inside.clone()]));
        let lines = format!("{}\n{}\n", &encoded[..76], &encoded[76..]);
        assert_eq!(read(json!([lines])), Ok(vec![inside]));
        let path = "a/folder/with/a/long/name/and/no/dot/anywhere/in/it";
        assert_eq!(read(json!(path)), Ok(vec![ImageSource::File(Path::new("media").join(path))]));
    }

    #[test]
    fn what_is_no_image_is_said() {
        for (images, expected) in [
            (json!(7), "`images` has a number"),
            (json!([{ "path": 3 }]), "`images` has an object"),
            (json!("https://x/y.png"), "image 1 is an address in the network"),
            (json!(["a", "data:image/png,x"]), "image 2 is a data: URL that is not base64"),
            (json!("data:image/png;base64,!"), "image 1 is a damaged data: URL"),
            (json!({ "bytes": "!" }), "image 1 is damaged base64"),
            (json!({ "bytes": [256] }), "image 1 is a list with something else"),
            (json!({ "bytes": null, "path": null }), "`images` has an object"),
        ] {
            let error = read(images.clone()).unwrap_err();
            assert!(error.to_string().contains(expected), "{images}: {error}");
            assert!(!error.hint().is_empty());
        }
    }
}
