//! A sentence embedder's folder on disk: `config.json`, `tokenizer.json`, `model.safetensors`, and what
//! sentence-transformers lays beside them.

use crate::checkpoint::{map, read_text};
use crate::device::OpenDevice;
use anyhow::{Result, anyhow, bail};
use fine_r1_core::embed::{EmbedError, EmbedderFiles, SentenceEmbedder};
use fine_r1_core::weights::ShardIndex;
use std::path::Path;

/// Loads a folder.
///
/// # Errors
/// A file is missing or damaged, or the model is of another family; the message names the folder.
pub fn load(folder: &Path, device: &OpenDevice) -> Result<SentenceEmbedder> {
    if !folder.is_dir() {
        bail!(
            "{} is not a folder\nhint: name the folder of a sentence embedder, such as all-MiniLM-L6-v2",
            folder.display()
        );
    }
    let optional = |name: &str| -> Result<Option<String>> {
        let path = folder.join(name);
        if path.is_file() { Ok(Some(read_text(&path)?)) } else { Ok(None) }
    };
    let files = EmbedderFiles {
        config: read_text(&folder.join("config.json"))?,
        tokenizer: read_text(&folder.join("tokenizer.json"))?.into_bytes(),
        pooling: optional("1_Pooling/config.json")?,
        limits: optional("sentence_bert_config.json")?,
    };
    let weights = map(folder, ShardIndex::SINGLE)?;
    SentenceEmbedder::new(&files, &weights, &device.device).map_err(|error| explain(folder, &error))
}

/// One vector of length 1 for every text.
///
/// # Errors
/// The device failed.
pub fn embed(embedder: &SentenceEmbedder, folder: &Path, texts: &[String]) -> Result<Vec<Vec<f32>>> {
    pollster::block_on(embedder.embed(texts)).map_err(|error| explain(folder, &error))
}

fn explain(folder: &Path, error: &EmbedError) -> anyhow::Error {
    anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint())
}
