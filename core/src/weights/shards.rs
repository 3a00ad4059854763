//! What lies in which file: the header of a safetensors file, and the index over several.
//!
//! Format: <https://github.com/huggingface/safetensors#format>.

use super::Precision;
use safetensors::tensor::Metadata;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use thiserror::Error;

/// Weights that cannot be read.
#[derive(Debug, Error)]
pub enum WeightsError {
    /// The file is no safetensors file, or is cut short.
    #[error("{file} is damaged or cut short: {source}")]
    Damaged {
        /// Name of the file.
        file: String,
        /// What was found.
        source: safetensors::SafeTensorError,
    },
    /// The index is no JSON of the expected form.
    #[error("{file}: {source}")]
    Index {
        /// Name of the file.
        file: String,
        /// What serde found.
        source: serde_json::Error,
    },
    /// The index names a file outside the checkpoint's folder.
    #[error("{file} names the weight file `{shard}`, which is not a plain file name")]
    IndexPath {
        /// Name of the index file.
        file: String,
        /// The name found in it.
        shard: String,
    },
    /// A tensor is stored in a type that holds no weights of this model.
    #[error("tensor `{tensor}` is stored as {found}, expected F32, F16 or BF16")]
    Precision {
        /// Name of the tensor.
        tensor: String,
        /// Its stored type.
        found: String,
    },
    /// A tensor's bytes are not as many as its place in the file.
    #[error("tensor `{tensor}` has {found} bytes, its place in the file {expected}")]
    TensorLength {
        /// Name of the tensor.
        tensor: String,
        /// Bytes of its place.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// An adapter's file has no tensors.
    #[error("{file} holds no adapter")]
    AdapterEmpty {
        /// Name of the file.
        file: String,
    },
    /// An adapter's tensor without which another means nothing.
    #[error("tensor `{tensor}` of the adapter is missing")]
    AdapterIncomplete {
        /// PEFT's name of the tensor.
        tensor: String,
    },
    /// An adapter's tensor that this model has no place for.
    #[error("tensor `{tensor}` of the adapter has no place in this model")]
    AdapterStranger {
        /// PEFT's name of the tensor.
        tensor: String,
    },
    /// An adapter's tensor that does not fit its layer.
    #[error("tensor `{tensor}` of the adapter has shape {found:?}, this model needs {expected:?}")]
    AdapterShape {
        /// PEFT's name of the tensor.
        tensor: String,
        /// Shape that the layer needs.
        expected: Vec<usize>,
        /// Shape found.
        found: Vec<usize>,
    },
    /// One parameter is stored twice.
    #[error("tensors `{first}` and `{second}` are one parameter of the model, stored twice")]
    Duplicate {
        /// The name that came first.
        first: String,
        /// The name that came second.
        second: String,
    },
    /// A weight is infinite or no number.
    #[error("tensor `{tensor}` holds values that are infinite or not numbers (NaN)")]
    NotFinite {
        /// Name of the tensor.
        tensor: String,
    },
    /// Tensors are absent or have the wrong shape.
    #[error("{}", mismatch(.missing, .misshaped))]
    Mismatch {
        /// Parameters of the model that no file holds.
        missing: Vec<String>,
        /// Tensors of another shape than the model's: name, expected, found.
        misshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
    },
}

fn mismatch(missing: &[String], misshaped: &[(String, Vec<usize>, Vec<usize>)]) -> String {
    const SHOWN: usize = 8;
    let mut lines = vec!["the weights do not fit config.json".to_owned()];
    for (name, expected, found) in misshaped.iter().take(SHOWN) {
        lines.push(format!("  tensor `{name}` has shape {found:?}, expected {expected:?}"));
    }
    for name in missing.iter().take(SHOWN) {
        lines.push(format!("  tensor `{name}` is missing"));
    }
    let hidden = misshaped.len().saturating_sub(SHOWN) + missing.len().saturating_sub(SHOWN);
    if hidden > 0 {
        lines.push(format!("  and {hidden} more, which `trainer-native inspect` names"));
    }
    lines.join("\n")
}

impl WeightsError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Duplicate { .. } => "keep one of the two, and take the weight files from one checkpoint",
            Self::NotFinite { .. } => {
                "the training that wrote them went wrong, or the file is damaged: take another checkpoint"
            }
            Self::Damaged { .. } | Self::TensorLength { .. } => {
                "download the file again, and compare its size with the published one"
            }
            Self::Index { .. } | Self::IndexPath { .. } => "download model.safetensors.index.json again",
            Self::Precision { .. } => "convert the checkpoint to float32, float16 or bfloat16 first",
            Self::AdapterEmpty { .. } | Self::AdapterIncomplete { .. } => {
                "save the adapter anew, with PEFT's save_pretrained or with sft"
            }
            Self::AdapterStranger { .. } | Self::AdapterShape { .. } => {
                "give the checkpoint that the adapter was trained on; adapter_config.json names it"
            }
            Self::Mismatch { .. } => "take config.json and the weight files from one and the same checkpoint",
        }
    }
}

/// `model.safetensors.index.json`: the file of every tensor.
#[derive(Debug, Clone, Deserialize)]
pub struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Name of the index in a checkpoint's folder.
    pub const FILE: &'static str = "model.safetensors.index.json";
    /// Name of the only file where there is no index.
    pub const SINGLE: &'static str = "model.safetensors";

    /// Reads the index.
    ///
    /// # Errors
    /// No JSON of this form, or a file name with a folder in it.
    pub fn from_json(text: &str) -> Result<Self, WeightsError> {
        let index: Self = serde_json::from_str(text)
            .map_err(|source| WeightsError::Index { file: Self::FILE.into(), source })?;
        if let Some(shard) =
            index.weight_map.values().find(|name| name.contains(['/', '\\']) || name.as_str() == "..")
        {
            return Err(WeightsError::IndexPath { file: Self::FILE.into(), shard: shard.clone() });
        }
        Ok(index)
    }

    /// The files, each once, in order.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.weight_map.values().cloned().collect();
        files.sort();
        files.dedup();
        files
    }
}

/// A tensor as a file's header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorFacts {
    /// Name as stored.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Its precision, or `None` for types that hold no weights.
    pub precision: Option<Precision>,
    /// Bytes on disk.
    pub bytes: usize,
}

/// Describes the tensors of a file.
///
/// # Errors
/// The file is no safetensors file, or shorter than its header says.
pub fn read_header(file: &str, bytes: &[u8]) -> Result<Vec<TensorFacts>, WeightsError> {
    let tensors = parse(file, bytes)?;
    let mut facts: Vec<TensorFacts> = tensors
        .iter()
        .map(|(name, view)| TensorFacts {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            precision: Precision::of_stored(name, view.dtype()).ok(),
            bytes: view.data().len(),
        })
        .collect();
    facts.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(facts)
}

/// Where a tensor lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorPlace {
    /// Name as stored.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Its type as stored.
    pub dtype: Dtype,
    /// Its bytes, counted from the file's first.
    pub bytes: Range<usize>,
}

/// Bytes of a file that hold its length field and header; read so many before [`read_places`].
#[must_use]
pub fn header_length(first: [u8; LENGTH_FIELD]) -> u64 {
    u64::from_le_bytes(first).saturating_add(LENGTH_FIELD as u64)
}

/// Bytes of the length field that a file begins with.
pub const LENGTH_FIELD: usize = 8;

/// The places of a file's tensors, in the order in which they lie, from its first bytes alone.
///
/// # Errors
/// The bytes are no header of a safetensors file, or the file's length is not what it says.
pub fn read_places(file: &str, start: &[u8], file_bytes: u64) -> Result<Vec<TensorPlace>, WeightsError> {
    let damaged = |source| WeightsError::Damaged { file: file.to_owned(), source };
    let header = start.get(LENGTH_FIELD..).unwrap_or_default();
    let metadata: Metadata = serde_json::from_slice(header)
        .map_err(|error| damaged(SafeTensorError::InvalidHeaderDeserialization(error)))?;
    let first = start.len();
    if first as u64 + metadata.data_len() as u64 != file_bytes {
        return Err(damaged(SafeTensorError::MetadataIncompleteBuffer));
    }
    let mut places: Vec<TensorPlace> = metadata
        .tensors()
        .into_iter()
        .map(|(name, info)| TensorPlace {
            name,
            shape: info.shape.clone(),
            dtype: info.dtype,
            bytes: first + info.data_offsets.0..first + info.data_offsets.1,
        })
        .collect();
    places.sort_by_key(|place| place.bytes.start);
    Ok(places)
}

pub(super) fn parse<'bytes>(file: &str, bytes: &'bytes [u8]) -> Result<SafeTensors<'bytes>, WeightsError> {
    SafeTensors::deserialize(bytes).map_err(|source| WeightsError::Damaged { file: file.to_owned(), source })
}
