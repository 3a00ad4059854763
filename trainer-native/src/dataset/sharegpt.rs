//! LlamaFactory's sharegpt form: <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/data/README.md>.

use super::{Conversation, split_content};
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use fine_r1_core::prompt::{Message, Role};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// One entry of `dataset_info.json`.
#[derive(Debug, Deserialize)]
struct Entry {
    file_name: String,
    #[serde(default)]
    formatting: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

/// Reads a data set by its name in `dataset_info.json`. Paths of images are relative to `media_dir`.
///
/// # Errors
/// The file, the entry or a row is missing or malformed; the message names file and row.
pub fn read_dataset(dataset_dir: &Path, name: &str, media_dir: &Path) -> Result<Vec<Conversation>> {
    let info_path = dataset_dir.join("dataset_info.json");
    let mut info: BTreeMap<String, Entry> = serde_json::from_str(&read_text(&info_path)?)
        .with_context(|| format!("{} is no data set description", info_path.display()))?;
    let names = info.keys().cloned().collect::<Vec<_>>().join(", ");
    let Some(entry) = info.remove(name) else {
        bail!("{} has no data set `{name}`\nhint: it has {names}", info_path.display());
    };
    if entry.formatting.as_deref() != Some("sharegpt") {
        bail!("{}: data set `{name}` is not in the sharegpt form", info_path.display());
    }
    let path = dataset_dir.join(&entry.file_name);
    let rows: Vec<Value> = serde_json::from_str(&read_text(&path)?)
        .with_context(|| format!("{} is no JSON list of rows", path.display()))?;
    rows.iter()
        .enumerate()
        .map(|(index, row)| {
            let source = format!("{} row {}", path.display(), index + 1);
            read_row(row, &entry, media_dir, source.clone()).context(source)
        })
        .collect()
}

fn read_row(row: &Value, entry: &Entry, media_dir: &Path, source: String) -> Result<Conversation> {
    let tag = |name: &str, default: &'static str| entry.tags.get(name).map_or(default, String::as_str).to_owned();
    let (role_tag, content_tag) = (tag("role_tag", "from"), tag("content_tag", "value"));
    let roles = [
        (tag("user_tag", "human"), Role::User),
        (tag("assistant_tag", "gpt"), Role::Assistant),
        (tag("system_tag", "system"), Role::System),
    ];
    let list = entry.columns.get("messages").map_or("conversations", String::as_str);
    let Some(turns) = row.get(list).and_then(Value::as_array) else { bail!("`{list}` is not a list") };
    let mut messages = Vec::with_capacity(turns.len());
    for (index, turn) in turns.iter().enumerate() {
        let field = |name: &str| turn.get(name).and_then(Value::as_str);
        let (Some(role), Some(content)) = (field(&role_tag), field(&content_tag)) else {
            bail!("message {} has no `{role_tag}` or no `{content_tag}`", index + 1);
        };
        let Some((_, role)) = roles.iter().find(|(tag, _)| tag == role) else {
            bail!("message {} has the unknown role `{role}`", index + 1);
        };
        messages.push(Message { role: *role, content: split_content(content) });
    }
    let images = match row.get(entry.columns.get("images").map_or("images", String::as_str)) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(paths)) => paths
            .iter()
            .map(|path| path.as_str().map(|path| media_dir.join(path)).context("an image is not a path"))
            .collect::<Result<_>>()?,
        Some(Value::String(path)) => vec![media_dir.join(path)],
        Some(other) => bail!("`images` is {other}, expected a list of paths"),
    };
    let places = fine_r1_core::prompt::image_count(&messages);
    if places != images.len() {
        bail!("the text has {places} <image> tags, the row has {} images", images.len());
    }
    Ok(Conversation { source, messages, images })
}
