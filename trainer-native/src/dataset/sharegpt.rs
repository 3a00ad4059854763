//! LlamaFactory's sharegpt form: <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/data/README.md>.

use super::{Conversation, split_content};
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use fine_r1_core::prompt::{Message, Role, image_count};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// One entry of `dataset_info.json`.
#[derive(Debug, Default, Deserialize)]
struct Entry {
    file_name: String,
    #[serde(default)]
    formatting: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// A row that cannot be trained on, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{source_row}: {error}")]
pub struct RowProblem {
    /// File and number of the row.
    pub source_row: String,
    /// What is wrong with it.
    pub error: RowError,
}

/// Why a row cannot be trained on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowError {
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
    /// A message lacks its speaker or its words.
    #[error("message {number} has no `{field}`, or it is no text")]
    Message {
        /// Number of the message, from 1.
        number: usize,
        /// What is missing.
        field: String,
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
    /// Nobody says what is to be learnt.
    #[error("the conversation has no assistant message to train on")]
    Silent,
    /// The images are not paths.
    #[error("`{field}` has {found}, expected a path")]
    ImagePath {
        /// Where they belong.
        field: String,
        /// What is there.
        found: String,
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
    #[error("{} is missing", path.display())]
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
            Self::Shape { .. } | Self::Messages { .. } | Self::Message { .. } => {
                r#"a row looks like {"conversations": [{"from": "human", "value": "<image>Which bird is this?"}, {"from": "gpt", "value": "A robin."}], "images": ["bird.jpg"]}; other names of fields stand in dataset_info.json"#
            }
            Self::Role { .. } => "correct the role, or name the roles under `tags` in dataset_info.json",
            Self::Silent => "add what the model shall answer, or leave the row out",
            Self::ImagePath { .. } => "give the images of a row as a list of paths",
            Self::ImageCount { .. } => "write <image> once for every image of the row",
            Self::ImageMissing { .. } => {
                "paths of images are relative to media_dir, or else to dataset_dir, of the recipe"
            }
        }
    }
}

/// Reads a data set by its name in `dataset_info.json`. Paths of images are relative to `media_dir`;
/// that the images are there is looked after, that they can be read is not.
///
/// # Errors
/// The file or the entry is missing or malformed. Rows have errors of their own, so that all of them
/// can be told at once.
pub fn read_dataset(
    dataset_dir: &Path,
    name: &str,
    media_dir: &Path,
) -> Result<Vec<Result<Conversation, RowProblem>>> {
    let info_path = dataset_dir.join("dataset_info.json");
    let mut info: BTreeMap<String, Entry> = serde_json::from_str(&read_text(&info_path)?).with_context(|| {
        format!(
            "{} is no data set description\nhint: it looks like {{\"{name}\": {{\"file_name\": \"rows.json\", \
             \"formatting\": \"sharegpt\"}}}}",
            info_path.display()
        )
    })?;
    let names = info.keys().cloned().collect::<Vec<_>>().join(", ");
    let Some(entry) = info.remove(name) else {
        bail!("{} has no data set `{name}`\nhint: it has {names}", info_path.display());
    };
    if entry.formatting.as_deref() != Some("sharegpt") {
        bail!(
            "{}: data set `{name}` is not in the sharegpt form\nhint: bring its rows into that form and write \
             \"formatting\": \"sharegpt\"",
            info_path.display()
        );
    }
    let path = dataset_dir.join(&entry.file_name);
    let rows: Vec<Value> = serde_json::from_str(&read_text(&path)?).with_context(|| {
        format!("{} is no JSON list of rows\nhint: write the file anew, or copy it again", path.display())
    })?;
    let read = |(index, row): (usize, &Value)| {
        let source = format!("{} row {}", path.display(), index + 1);
        match read_row(row, &entry, media_dir) {
            Ok((messages, images)) => Ok(Conversation { source, messages, images }),
            Err(error) => Err(RowProblem { source_row: source, error }),
        }
    };
    Ok(rows.iter().enumerate().map(read).collect())
}

fn read_row(row: &Value, entry: &Entry, media_dir: &Path) -> Result<(Vec<Message>, Vec<PathBuf>), RowError> {
    if !row.is_object() {
        return Err(RowError::Shape { found: kind(Some(row)).to_owned() });
    }
    let column =
        |name: &str, default: &str| entry.columns.get(name).map_or(default, String::as_str).to_owned();
    let messages = read_messages(row, entry, column("messages", "conversations"))?;
    let images = read_images(row, media_dir, column("images", "images"))?;
    let places = image_count(&messages);
    if places != images.len() {
        return Err(RowError::ImageCount { places, images: images.len() });
    }
    if let Some(path) = images.iter().find(|path| !path.is_file()) {
        return Err(RowError::ImageMissing { path: path.clone() });
    }
    Ok((messages, images))
}

fn read_messages(row: &Value, entry: &Entry, field: String) -> Result<Vec<Message>, RowError> {
    let tag =
        |name: &str, default: &'static str| entry.tags.get(name).map_or(default, String::as_str).to_owned();
    let (role_tag, content_tag) = (tag("role_tag", "from"), tag("content_tag", "value"));
    let roles = [
        (tag("user_tag", "human"), Role::User),
        (tag("assistant_tag", "gpt"), Role::Assistant),
        (tag("system_tag", "system"), Role::System),
    ];
    let Some(turns) = row.get(&field).and_then(Value::as_array) else {
        let found = kind(row.get(&field)).to_owned();
        return Err(RowError::Messages { field, found });
    };
    let mut messages = Vec::with_capacity(turns.len());
    for (index, turn) in turns.iter().enumerate() {
        let number = index + 1;
        let text = |field: &str| {
            let text = turn.get(field).and_then(Value::as_str);
            text.ok_or_else(|| RowError::Message { number, field: field.to_owned() })
        };
        let (role, content) = (text(&role_tag)?, text(&content_tag)?);
        let Some((_, role)) = roles.iter().find(|(tag, _)| tag == role) else {
            let expected = roles.iter().map(|(tag, _)| tag.as_str()).collect::<Vec<_>>().join(", ");
            return Err(RowError::Role { number, found: role.to_owned(), expected });
        };
        messages.push(Message { role: *role, content: split_content(content) });
    }
    if messages.iter().all(|message| message.role != Role::Assistant) {
        return Err(RowError::Silent);
    }
    Ok(messages)
}

fn read_images(row: &Value, media_dir: &Path, field: String) -> Result<Vec<PathBuf>, RowError> {
    let paths = match row.get(&field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(paths)) => paths.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let path = |path: &Value| match path.as_str() {
        Some(path) => Ok(media_dir.join(path)),
        None => Err(RowError::ImagePath { field: field.clone(), found: kind(Some(path)).to_owned() }),
    };
    paths.iter().map(path).collect()
}

/// What stands somewhere in a row, in words.
fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: &Value) -> Result<(Vec<Message>, Vec<PathBuf>), RowError> {
        read_row(row, &Entry::default(), Path::new("nowhere"))
    }

    #[test]
    fn a_row_is_read_with_the_tags_of_its_data_set() {
        let tags = [
            ("role_tag", "role"),
            ("content_tag", "content"),
            ("user_tag", "user"),
            ("assistant_tag", "bot"),
        ];
        let entry = Entry {
            columns: [("messages".to_owned(), "turns".to_owned())].into(),
            tags: tags.map(|(tag, name)| (tag.to_owned(), name.to_owned())).into(),
            ..Entry::default()
        };
        let row =
            json!({ "turns": [{ "role": "user", "content": "Hello" }, { "role": "bot", "content": "Hi" }] });
        let (messages, images) = read_row(&row, &entry, Path::new("")).expect("a sound row");
        assert_eq!(messages, [Message::text(Role::User, "Hello"), Message::text(Role::Assistant, "Hi")]);
        assert!(images.is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        let turns =
            |text: &str| json!([{ "from": "human", "value": text }, { "from": "gpt", "value": "A dot." }]);
        for (row, expected) in [
            (json!(3), "the row is a number"),
            (json!({}), "`conversations` is missing"),
            (json!({ "conversations": "x" }), "`conversations` is a text"),
            (json!({ "conversations": [{ "from": "gpt" }] }), "message 1 has no `value`"),
            (json!({ "conversations": [7] }), "message 1 has no `from`"),
            (json!({ "conversations": [{ "from": "pilot", "value": "x" }] }), "unknown role `pilot`"),
            (json!({ "conversations": [{ "from": "human", "value": "x" }] }), "no assistant message"),
            (json!({ "conversations": [] }), "no assistant message"),
            (json!({ "conversations": turns("<image>x"), "images": [7] }), "`images` has a number"),
            (json!({ "conversations": turns("<image>x"), "images": 7 }), "`images` has a number"),
            (
                json!({ "conversations": turns("x"), "images": "a.png" }),
                "0 <image> tags, the row has 1 images",
            ),
            (json!({ "conversations": turns("<image>x"), "images": "a.png" }), "a.png is missing"),
        ] {
            let error = read(&row).unwrap_err();
            assert!(error.to_string().contains(expected), "{row}: {error}");
            assert!(!error.hint().is_empty());
        }
    }
}
