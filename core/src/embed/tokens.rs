//! Texts to ids with the marks of the model around them, padded to one length.

use super::EmbedError;
use std::fmt;
use tokenizers::{
    EncodeInput, Encoding, PaddingParams, PaddingStrategy, Tokenizer, TruncationDirection, TruncationParams,
    TruncationStrategy,
};

/// The tokenizer of an embedder's checkpoint, `tokenizer.json` with WordPiece.
pub struct SentenceTokenizer {
    fast: Tokenizer,
}

/// Some texts as the model takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// `[batch, seq]`, row-major.
    pub ids: Vec<i32>,
    /// `[batch, seq]`: whether it is a token of the text.
    pub is_token: Vec<bool>,
    /// Number of texts.
    pub batch: usize,
    /// Tokens of the longest.
    pub seq: usize,
}

impl fmt::Debug for SentenceTokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SentenceTokenizer").finish_non_exhaustive()
    }
}

impl SentenceTokenizer {
    /// Reads a `tokenizer.json`; texts are cut after `max_tokens` tokens, the marks around them included.
    ///
    /// # Errors
    /// It is malformed, or of another kind.
    pub fn from_bytes(bytes: &[u8], max_tokens: usize) -> Result<Self, EmbedError> {
        let refuse = |reason: String| EmbedError::Tokenizer { reason };
        let parts: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        // tokenizers panics on damaged tables of SentencePiece, and no WordPiece has any.
        if mentions_type(&parts["normalizer"], "Precompiled") {
            return Err(refuse("the normalizer `Precompiled` is not supported".into()));
        }
        let kind = parts["model"]["type"].as_str().unwrap_or("of no type");
        if kind != "WordPiece" {
            return Err(refuse(format!("the model is {kind}, expected WordPiece")));
        }
        let mut fast = Tokenizer::from_bytes(bytes).map_err(|error| refuse(error.to_string()))?;
        let truncation = TruncationParams {
            direction: TruncationDirection::Right,
            max_length: max_tokens,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        fast.with_truncation(Some(truncation)).map_err(|error| refuse(error.to_string()))?;
        let padding = PaddingParams { strategy: PaddingStrategy::BatchLongest, ..PaddingParams::default() };
        fast.with_padding(Some(padding));
        Ok(Self { fast })
    }

    /// Encodes some texts together.
    ///
    /// # Errors
    /// A text has a word that the vocabulary has no mark for.
    pub fn encode(&self, texts: &[String]) -> Result<Batch, EmbedError> {
        let inputs: Vec<EncodeInput<'_>> = texts.iter().map(|text| text.as_str().into()).collect();
        let encodings: Vec<Encoding> = self
            .fast
            .encode_batch_fast(inputs, true)
            .map_err(|error| EmbedError::Tokenizer { reason: error.to_string() })?;
        let seq = encodings.first().map_or(0, |encoding| encoding.get_ids().len());
        Ok(Batch {
            ids: encodings.iter().flat_map(|encoding| encoding.get_ids()).map(|id| *id as i32).collect(),
            is_token: encodings
                .iter()
                .flat_map(|encoding| encoding.get_attention_mask())
                .map(|bit| *bit == 1)
                .collect(),
            batch: encodings.len(),
            seq,
        })
    }

    /// The largest id of the vocabulary.
    #[must_use]
    pub fn largest_id(&self) -> u32 {
        self.fast.get_vocab(true).into_values().max().unwrap_or(0)
    }
}

/// Whether a part, or a part inside it, is of this type.
fn mentions_type(part: &serde_json::Value, name: &str) -> bool {
    match part {
        serde_json::Value::Object(fields) => {
            fields.get("type").is_some_and(|found| found == name)
                || fields.values().any(|field| mentions_type(field, name))
        }
        serde_json::Value::Array(parts) => parts.iter().any(|part| mentions_type(part, name)),
        _ => false,
    }
}
