//! What can be wrong with a configuration file.

use thiserror::Error;

/// A configuration file that cannot be used.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file is no JSON, or its JSON is no object.
    #[error("{file}: {source}")]
    Json {
        /// Name of the file inside the checkpoint folder.
        file: &'static str,
        /// What serde found.
        source: serde_json::Error,
    },
    /// A field has the wrong type.
    #[error("{file}: `{field}`: {source}")]
    Field {
        /// Name of the file inside the checkpoint folder.
        file: &'static str,
        /// Dotted path of the field.
        field: String,
        /// What serde found.
        source: serde_json::Error,
    },
    /// The checkpoint is of another model family.
    #[error("config.json: architecture `{found}` is not supported")]
    Architecture {
        /// `model_type`, or the first of `architectures`.
        found: String,
    },
    /// A field is absent that has no default.
    #[error("config.json: field `{field}` is missing")]
    Missing {
        /// Dotted path of the field.
        field: String,
    },
    /// A field has a value that this program cannot honour.
    #[error("{file}: `{field}` is {found}, expected {expected}")]
    Value {
        /// Name of the file inside the checkpoint folder.
        file: &'static str,
        /// Dotted path of the field.
        field: String,
        /// The value found.
        found: String,
        /// What would be right.
        expected: String,
    },
}

impl ConfigError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Json { .. } => "the file is damaged or cut short: download it again",
            Self::Architecture { .. } => {
                "use a Qwen2-VL or Qwen2.5-VL checkpoint (model_type `qwen2_vl` or `qwen2_5_vl`)"
            }
            Self::Field { .. } | Self::Missing { .. } | Self::Value { .. } => {
                "compare the file with the one that was published with the model"
            }
        }
    }

    pub(super) fn value(
        file: &'static str,
        field: impl Into<String>,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Value { file, field: field.into(), found: found.to_string(), expected: expected.into() }
    }
}
