//! What is wrong with a row, where it stands, and what to do about it.

use std::path::{Path, PathBuf};
use thiserror::Error;

/// Characters of a path that are told.
const SHOWN: usize = 200;

/// A row that cannot be trained on, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{source_row}: {error}")]
pub struct RowProblem {
    /// File, line and number of the row.
    pub source_row: String,
    /// What is wrong with it.
    pub error: RowError,
}

/// Why a row cannot be trained on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowError {
    /// It cannot be read at all.
    #[error("the row cannot be read: {reason}")]
    Syntax {
        /// What the reader says.
        reason: String,
    },
    /// It is no object.
    #[error("the row is {found}, expected an object")]
    Shape {
        /// What it is.
        found: String,
    },
    /// It lacks its messages.
    #[error("`{field}` is {found}, expected a list of messages")]
    Messages {
        /// Where they belong.
        field: String,
        /// What is there.
        found: String,
    },
    /// A field of the row is no text.
    #[error("`{field}` is {found}, expected a text")]
    Text {
        /// The field.
        field: String,
        /// What is there.
        found: String,
    },
    /// A round of the history is no question with its answer.
    #[error("round {number} of `{field}` is no pair of a question and an answer")]
    Round {
        /// Where the history is.
        field: String,
        /// Number of the round, from 1.
        number: usize,
    },
    /// A message lacks its speaker or its words.
    #[error("message {number} has no `{field}`, or it is no text")]
    Message {
        /// Number of the message, from 1.
        number: usize,
        /// What is missing.
        field: String,
    },
    /// A part of a message is of no kind that is known.
    #[error("part {part} of message {number} is neither a text nor an image")]
    Part {
        /// Number of the message, from 1.
        number: usize,
        /// Number of the part, from 1.
        part: usize,
    },
    /// A message is spoken by somebody unknown.
    #[error("message {number} has the unknown role `{found}`, expected one of {expected}")]
    Role {
        /// Number of the message, from 1.
        number: usize,
        /// Its role.
        found: String,
        /// The roles that are known.
        expected: String,
    },
    /// Speakers do not take turns.
    #[error("message {number} is by `{found}`, expected `{expected}`: speakers take turns")]
    Turn {
        /// Number of the message, from 1.
        number: usize,
        /// Who speaks.
        found: String,
        /// Whose turn it is.
        expected: String,
    },
    /// Nobody says what is to be learnt.
    #[error("the conversation has no assistant message to train on")]
    Silent,
    /// The last word is not the assistant's.
    #[error("the last message is no assistant message")]
    Unanswered,
    /// A call of a tool is none.
    #[error("message {number} calls no tool")]
    Call {
        /// Number of the message, from 1.
        number: usize,
    },
    /// Tools are not described.
    #[error("`{field}` has {found} that is no list of tools")]
    Tools {
        /// Where they belong.
        field: String,
        /// What is there.
        found: String,
    },
    /// Videos or sounds.
    #[error("the row has {what}, which are not supported")]
    Unsupported {
        /// What it has.
        what: &'static str,
    },
    /// An image is no path.
    #[error("`{field}` has {found}, expected a path or an image file's bytes")]
    ImagePath {
        /// Where they belong.
        field: String,
        /// What is there.
        found: String,
    },
    /// An image's address is neither a path nor a `data:` URL.
    #[error("image {number} is {reason}")]
    ImageAddress {
        /// Number of the image, from 1.
        number: usize,
        /// What is wrong with the address.
        reason: String,
    },
    /// Images and their places differ in number.
    #[error("the text has {places} <image> tags, the row has {images} images")]
    ImageCount {
        /// Tags in the text.
        places: usize,
        /// Images of the row.
        images: usize,
    },
    /// An image is not where its path says.
    #[error("{} is missing", shown(path))]
    ImageMissing {
        /// Where it should be.
        path: PathBuf,
    },
}

impl RowError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "correct the line, or leave it out",
            Self::Shape { .. } | Self::Messages { .. } | Self::Message { .. } => {
                r#"a row looks like {"conversations": [{"from": "human", "value": "<image>Which bird is this?"}, {"from": "gpt", "value": "A robin."}], "images": ["bird.jpg"]}; other names of fields stand in dataset_info.json"#
            }
            Self::Text { .. } => {
                r#"a row looks like {"instruction": "<image>Which bird is this?", "input": "", "output": "A robin.", "images": ["bird.jpg"]}; other names of fields stand in dataset_info.json"#
            }
            Self::Round { .. } => r#"a history looks like [["a question", "its answer"]]"#,
            Self::Part { .. } => {
                r#"a part looks like {"type": "text", "text": "Hello"} or {"type": "image_url", "image_url": {"url": "bird.jpg"}}"#
            }
            Self::Role { .. } => "correct the role, or name the roles under `tags` in dataset_info.json",
            Self::Turn { .. } => {
                "after an optional system message, questions and answers alternate, a question first"
            }
            Self::Silent | Self::Unanswered => "add what the model shall answer, or leave the row out",
            Self::Call { .. } => {
                r#"a call looks like {"name": "find", "arguments": {"text": "robin"}}; several stand in a list"#
            }
            Self::Tools { .. } => {
                r#"tools look like [{"name": "find", "description": "…", "parameters": {"type": "object", "properties": {}}}]"#
            }
            Self::Unsupported { .. } => "leave the row out, or what it has besides text and images",
            Self::ImagePath { .. } => "give the images of a row as a list of paths",
            Self::ImageAddress { .. } => {
                "give a path on this machine, or data:image/png;base64, and the encoded file"
            }
            Self::ImageCount { .. } => "write <image> once for every image of the row",
            Self::ImageMissing { .. } => {
                "paths of images are relative to media_dir, or else to dataset_dir, of the recipe"
            }
        }
    }
}

/// A path as messages tell it: damaged base64 is taken for one, and may have millions of characters.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    match text.char_indices().nth(SHOWN) {
        None => text.into_owned(),
        Some((end, _)) => format!("{}… ({} characters)", &text[..end], text.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_path_is_not_told_as_a_whole() {
        let message = |path: String| RowError::ImageMissing { path: path.into() }.to_string();
        assert_eq!(message("a.png".into()), "a.png is missing");
        let cut = message("é/".repeat(5000));
        assert!(cut.ends_with("… (10000 characters) is missing") && cut.len() < 400, "{cut}");
    }
}
