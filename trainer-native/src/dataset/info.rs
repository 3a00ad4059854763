//! `dataset_info.json`: where the rows of a data set are and what their fields are called.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/data/README.md>, read as
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/parser.py> does, but that a
//! field or tag that `columns` or `tags` leave out keeps its usual name.

use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What rows look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `instruction`, `input`, `output`.
    #[default]
    Alpaca,
    /// A list of messages with `from` and `value`.
    Sharegpt,
    /// A list of messages with `role` and `content`.
    Openai,
}

/// One data set of `dataset_info.json`.
#[derive(Debug, Default)]
pub struct Entry {
    /// What rows look like.
    pub form: Form,
    /// A file, or a folder of files.
    pub path: PathBuf,
    /// So many rows are taken, some of them twice where there are fewer; all rows where absent.
    pub num_samples: Option<usize>,
    columns: BTreeMap<String, Option<String>>,
    tags: BTreeMap<String, Option<String>>,
}

/// The fields as they stand in the file.
#[derive(Debug, Deserialize)]
struct Fields {
    file_name: Option<String>,
    formatting: Option<String>,
    #[serde(default)]
    ranking: bool,
    num_samples: Option<usize>,
    #[serde(default)]
    columns: BTreeMap<String, Option<String>>,
    #[serde(default)]
    tags: BTreeMap<String, Option<String>>,
}

impl Entry {
    /// Finds a data set by its name.
    ///
    /// # Errors
    /// The description is missing or malformed, does not know the name, or describes something that
    /// cannot be trained on from this machine.
    pub fn find(dataset_dir: &Path, name: &str) -> Result<Self> {
        let info_path = dataset_dir.join("dataset_info.json");
        let mut info: BTreeMap<String, serde_json::Value> = serde_json::from_str(&read_text(&info_path)?)
            .with_context(|| {
                format!(
                    "{} is no data set description\nhint: it looks like {{\"{name}\": {{\"file_name\": \
                     \"rows.json\", \"formatting\": \"sharegpt\"}}}}",
                    info_path.display()
                )
            })?;
        let names = info.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(value) = info.remove(name) else {
            bail!("{} has no data set `{name}`\nhint: it has {names}", info_path.display());
        };
        let place = format!("{}: data set `{name}`", info_path.display());
        let fields: Fields = serde_json::from_value(value).with_context(|| {
            format!("{place} is not described as it should be\nhint: it needs a file_name; columns and tags are names")
        })?;
        if fields.ranking {
            bail!(
                "{place} is a preference data set\nhint: fine-tuning needs one answer a question; leave the set out"
            );
        }
        let form = match fields.formatting.as_deref() {
            None | Some("alpaca") => Form::Alpaca,
            Some("sharegpt") => Form::Sharegpt,
            Some("openai") => Form::Openai,
            Some(other) => bail!(
                "{place} has the form `{other}`\nhint: bring its rows into one of the forms alpaca, sharegpt and \
                 openai, and name it under \"formatting\""
            ),
        };
        let Some(file_name) = fields.file_name else {
            bail!("{place} has no file_name\nhint: nothing is downloaded; copy its files here and name them")
        };
        Ok(Self {
            form,
            path: dataset_dir.join(file_name),
            num_samples: fields.num_samples,
            columns: fields.columns,
            tags: fields.tags,
        })
    }

    /// The name of a field that rows may have; `None` where there is none.
    #[must_use]
    pub fn column(&self, name: &'static str) -> Option<&str> {
        if let Some(named) = self.columns.get(name) {
            return named.as_deref();
        }
        match name {
            "images" => Some("images"),
            "prompt" => Some("instruction"),
            "response" => Some("output"),
            // A set that names its prompt has no second half of it, unless it is named too.
            "query" if !self.columns.contains_key("prompt") => Some("input"),
            "messages" if self.form == Form::Openai => Some("messages"),
            "messages" => Some("conversations"),
            // OpenAI's own rows have them.
            "tools" if self.form == Form::Openai => Some("tools"),
            _ => None,
        }
    }

    /// The word that rows use for a key or a speaker of a message.
    #[must_use]
    pub fn tag(&self, name: &'static str) -> &str {
        if let Some(Some(named)) = self.tags.get(name) {
            return named;
        }
        match (self.form, name) {
            (Form::Openai, "role_tag") => "role",
            (Form::Openai, "content_tag") => "content",
            (Form::Openai, "user_tag") => "user",
            (Form::Openai, "assistant_tag") => "assistant",
            (Form::Openai, "observation_tag") => "tool",
            (_, "role_tag") => "from",
            (_, "content_tag") => "value",
            (_, "user_tag") => "human",
            (_, "assistant_tag") => "gpt",
            (_, "observation_tag") => "observation",
            (_, "function_tag") => "function_call",
            _ => "system",
        }
    }

    /// The same with other names, for tests.
    #[cfg(test)]
    pub fn named(form: Form, columns: &[(&str, &str)], tags: &[(&str, &str)]) -> Self {
        let map = |names: &[(&str, &str)]| {
            names.iter().map(|(name, named)| ((*name).to_owned(), Some((*named).to_owned()))).collect()
        };
        Self { form, columns: map(columns), tags: map(tags), ..Self::default() }
    }
}
