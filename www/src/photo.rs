//! A photo that somebody handed over, before the model looks at it.

use crate::engine::{PhotoFile, Picked};
use crate::problem::failure;
use fine_r1_web::protocol::{Failure, codes};
use std::sync::Arc;

/// Kinds that the model's decoder reads, as a file dialog takes them.
pub const ACCEPTED: &str = "image/png,image/jpeg,image/webp,image/bmp,image/gif";

/// Largest file that is taken.
pub const MOST_BYTES: f64 = 64e6;

/// A photo. Copies share the file; with the last one its preview's URL goes too.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Name of the file.
    pub name: String,
    /// Size of the file.
    pub bytes: f64,
    /// What it shows, where that is known: the example photos say it.
    pub label: Option<String>,
    /// The file itself.
    pub file: Arc<PhotoFile>,
}

impl Photo {
    /// Takes a file for a photo.
    pub fn new(picked: Picked) -> Result<Self, Failure> {
        check(&picked.name, &picked.kind, picked.bytes)?;
        Ok(Self { name: picked.name, bytes: picked.bytes, label: None, file: Arc::new(picked.file) })
    }
}

/// Refuses what cannot be a photo; whether it is one shows when it is decoded.
fn check(name: &str, kind: &str, bytes: f64) -> Result<(), Failure> {
    let formats = "choose a photo in PNG, JPEG, WebP, BMP or GIF";
    if bytes == 0.0 {
        return Err(failure(codes::BAD_IMAGE, format!("{name} is empty"), formats));
    }
    if bytes > MOST_BYTES {
        return Err(failure(
            codes::BAD_IMAGE,
            format!("{name} is larger than 64 MB"),
            "make the photo smaller; the model looks at far fewer pixels anyway",
        ));
    }
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/html" => Err(failure(
            codes::BAD_IMAGE,
            format!("{name} is a web page, not a photo"),
            "open the photo itself, copy its address and use that",
        )),
        "image/svg+xml" | "image/heic" | "image/heif" | "image/avif" | "image/tiff" => Err(failure(
            codes::BAD_IMAGE,
            format!("{name} is in a format that the model does not read"),
            formats,
        )),
        "" | "application/octet-stream" => Ok(()),
        kind if kind.starts_with("image/") => Ok(()),
        _ => Err(failure(codes::BAD_IMAGE, format!("{name} is not a photo"), formats)),
    }
}

/// Whether a pasted text is the address of something on the web.
pub fn is_address(text: &str) -> bool {
    let text = text.trim();
    let is_web = ["https://", "http://"].iter().any(|scheme| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
            && text.len() > scheme.len()
    });
    is_web && !text.contains(char::is_whitespace)
}

/// The last part of an address, as a name for what was fetched there.
pub fn name_of_address(address: &str) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    match path.trim_end_matches('/').rsplit('/').next() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "photo".to_owned(),
    }
}

/// Puts the newest first and forgets the oldest beyond a number.
pub fn keep_recent<T>(items: &mut Vec<T>, newest: T, most: usize) {
    items.insert(0, newest);
    items.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_photo_is_taken() {
        for (kind, bytes) in [("image/jpeg", 10.0), ("", 10.0), ("image/png; x=y", MOST_BYTES)] {
            assert!(check("a", kind, bytes).is_ok(), "{kind}");
        }
        for (kind, bytes, word) in [
            ("image/jpeg", 0.0, "empty"),
            ("image/jpeg", MOST_BYTES + 1.0, "larger"),
            ("text/html; charset=utf-8", 10.0, "web page"),
            ("image/heic", 10.0, "format"),
            ("application/pdf", 10.0, "not a photo"),
        ] {
            let error = check("a", kind, bytes).unwrap_err();
            assert!(error.message.contains(word), "{}", error.message);
            assert!(!error.hint.is_empty());
        }
    }

    #[test]
    fn addresses_are_told_from_other_text() {
        assert!(is_address(" https://a.example/b.jpg "));
        assert!(is_address("HTTP://a.example/b.jpg"));
        assert!(!is_address("https://"));
        assert!(!is_address("an A320 over https://a.example"));
        assert!(!is_address("über"));
        assert_eq!(name_of_address("https://a.example/x/plane.jpg?w=3#top"), "plane.jpg");
        assert_eq!(name_of_address(""), "photo");
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let mut items = vec![2, 1];
        keep_recent(&mut items, 3, 2);
        assert_eq!(items, [3, 2]);
    }
}
