//! A conversation with its pictures, as the rows of a data set say it.

use super::ImageSource;
use fine_r1_core::prompt::{Content, Message, Part};

/// Stands where a picture goes in the text of a data set.
const IMAGE_TAG: &str = "<image>";

/// One row of a data set.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Where it stands, for messages: file, line and row.
    pub source: String,
    /// What was said.
    pub messages: Vec<Message>,
    /// The pictures, in the order of their places.
    pub images: Vec<ImageSource>,
    /// What goes with the answer in these pictures and is not the reason for it: the paint of an aircraft,
    /// the place where a bird was seen. The column `confounder` of the data set.
    pub confounder: Option<String>,
}

/// A message's text with `<image>` tags as parts.
#[must_use]
pub fn split_content(text: &str) -> Content {
    if !text.contains(IMAGE_TAG) {
        return Content::Text(text.to_owned());
    }
    let mut parts = Vec::new();
    for (index, piece) in text.split(IMAGE_TAG).enumerate() {
        if index > 0 {
            parts.push(Part::unnamed_image());
        }
        if !piece.is_empty() {
            parts.push(Part::text(piece));
        }
    }
    Content::Parts(parts)
}
