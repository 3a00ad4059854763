//! What can go wrong between a CLIP or SigLIP checkpoint, a text or photo, and its vector.

use crate::config::ConfigError;
use crate::image::ImageError;
use crate::prompt::PromptError;
use burn::tensor::ExecutionError;
use thiserror::Error;

/// Everything that can be wrong with a contrastive checkpoint or with what it is asked.
#[derive(Debug, Error)]
pub enum ContrastiveError {
    /// A configuration file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The tokenizer, or a text that it cannot encode.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A photo.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The checkpoint is of another family.
    #[error("config.json: model_type `{found}` is neither `siglip` nor `clip`")]
    Family {
        /// What the file says.
        found: String,
    },
    /// The tokenizer lacks a token that texts end, begin or are filled up with.
    #[error("tokenizer.json has no token `{token}`, which tokenizer_config.json names as {role}")]
    Token {
        /// As it is spelled.
        token: String,
        /// What it is for.
        role: &'static str,
    },
    /// The tokenizer knows more tokens than the model.
    #[error("tokenizer.json has the id {largest}, the model's vocabulary ends at {vocab}")]
    TokenizerTooLarge {
        /// Largest id of a token in a text.
        largest: u32,
        /// Size of the model's vocabulary.
        vocab: usize,
    },
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
}

impl ContrastiveError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint().into(),
            Self::Prompt(error) => error.hint().into(),
            Self::Image(error) => error.hint().into(),
            Self::Family { .. } => "use a CLIP or SigLIP checkpoint in the layout of transformers".into(),
            Self::Token { .. } | Self::TokenizerTooLarge { .. } => {
                "take tokenizer.json, tokenizer_config.json and config.json from one and the same checkpoint"
                    .into()
            }
            Self::Device(_) => {
                "the device may be out of memory: close other programs or choose another device".into()
            }
        }
    }
}
