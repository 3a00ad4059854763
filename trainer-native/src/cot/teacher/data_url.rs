//! A picture inside a request: RFC 2397, <https://www.rfc-editor.org/rfc/rfc2397>.

use crate::bounded::read_image;
use crate::commands::read_photo;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use std::io::Cursor;
use std::path::Path;

/// The formats that every server with eyes reads; others are sent as PNG.
const SENT_AS_THEY_ARE: [ImageFormat; 4] =
    [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif];

/// `data:image/jpeg;base64,…` of a picture that can be decoded.
///
/// # Errors
/// The picture is missing or damaged; the message names it.
pub fn data_url(path: &Path) -> Result<String> {
    // Whatever cannot be decoded here would be paid for and refused there.
    let photo = read_photo(path)?;
    let bytes = read_image(path)?;
    let format = image::guess_format(&bytes).ok().filter(|format| SENT_AS_THEY_ARE.contains(format));
    let (kind, bytes) = match format {
        Some(format) => (format.to_mime_type(), bytes),
        None => {
            let mut png = Cursor::new(Vec::new());
            photo
                .write_to(&mut png, ImageFormat::Png)
                .with_context(|| format!("cannot encode {} anew", path.display()))?;
            (ImageFormat::Png.to_mime_type(), png.into_inner())
        }
    };
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use image::{Rgb, RgbImage};
    use std::fs;

    fn decoded(url: &str) -> (String, RgbImage) {
        let (kind, data) = url.strip_prefix("data:").unwrap().split_once(";base64,").unwrap();
        let bytes = STANDARD.decode(data).unwrap();
        (kind.to_owned(), image::load_from_memory(&bytes).unwrap().to_rgb8())
    }

    #[test]
    fn known_formats_are_sent_as_they_are_and_others_as_png() {
        let folder = Folder::new();
        let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8 * 50, y as u8 * 80, 7]));
        for (name, kind) in [("a.png", "image/png"), ("a.bmp", "image/png"), ("a.gif", "image/gif")] {
            let path = folder.path().join(name);
            picture.save(&path).unwrap();
            let (found, sent) = decoded(&data_url(&path).unwrap());
            assert_eq!((found.as_str(), sent.dimensions()), (kind, (5, 3)), "{name}");
            if name.ends_with("gif") {
                continue;
            }
            assert_eq!(sent, picture, "{name}");
        }
        let broken = folder.path().join("broken.jpg");
        fs::write(&broken, "no picture").unwrap();
        assert!(data_url(&broken).unwrap_err().to_string().contains("broken.jpg"));
    }
}
