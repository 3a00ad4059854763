//! What turns texts into vectors, for how near an open answer comes to the truth.

use super::contrastive::{is_contrastive, load, vectors};
use super::fingerprint::fingerprint;
use crate::checkpoint::read_text;
use crate::device::OpenDevice;
use crate::embedder;
use anyhow::{Result, bail};
use fine_r1_core::contrastive::{Embedder, Family};
use fine_r1_core::embed::{BertConfig, SentenceEmbedder};
use std::path::{Path, PathBuf};

/// A model of texts; results name it, because figures of two models cannot be compared.
pub trait TextEmbedder {
    /// Kind, folder and fingerprint.
    fn name(&self) -> &str;

    /// A vector of unit length for every text.
    ///
    /// # Errors
    /// A text cannot be encoded, or the device failed.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;
}

/// Opens whichever kind of text model a folder holds.
///
/// # Errors
/// None that is known here, or a file is missing or damaged.
pub fn open_text_embedder(folder: &Path, device: &OpenDevice) -> Result<Box<dyn TextEmbedder>> {
    let named = |kind: &str| -> Result<String> {
        Ok(format!("{kind} {} ({})", folder.display(), &fingerprint(Some(folder), None)?[..12]))
    };
    if is_contrastive(folder) {
        let embedder = load(folder, device)?;
        let kind = match embedder.processor().config().family {
            Family::Clip => "CLIP",
            Family::Siglip => "SigLIP",
        };
        return Ok(Box::new(ContrastiveText { name: named(kind)?, embedder }));
    }
    if read_text(&folder.join("config.json")).is_ok_and(|text| BertConfig::is_bert(&text)) {
        let embedder = embedder::load(folder, device)?;
        let folder = folder.to_owned();
        return Ok(Box::new(SentenceText { name: named("sentence embedder")?, folder, embedder }));
    }
    bail!(
        "{} holds neither CLIP, SigLIP nor a sentence embedder\nhint: --embedder takes the folder of such a \
         checkpoint: google/siglip-base-patch16-256 for figures like the paper's, or one like all-MiniLM-L6-v2",
        folder.display()
    );
}

/// The text tower of CLIP or SigLIP.
struct ContrastiveText {
    name: String,
    embedder: Embedder,
}

impl TextEmbedder for ContrastiveText {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        vectors(&self.embedder, texts)
    }
}

/// A BERT that sentence-transformers trained, such as MiniLM.
struct SentenceText {
    name: String,
    folder: PathBuf,
    embedder: SentenceEmbedder,
}

impl TextEmbedder for SentenceText {
    fn name(&self) -> &str {
        &self.name
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        embedder::embed(&self.embedder, &self.folder, &texts)
    }
}
