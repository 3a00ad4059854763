//! What turns texts into vectors, for how near an open answer comes to the truth.

use super::contrastive::{is_contrastive, load, vectors};
use super::fingerprint::fingerprint;
use crate::device::OpenDevice;
use anyhow::{Result, bail};
use fine_r1_core::contrastive::{Embedder, Family};
use std::path::Path;

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
    if !is_contrastive(folder) {
        bail!(
            "{} holds neither CLIP nor SigLIP\nhint: --embedder takes the folder of such a checkpoint, for figures \
             like the paper's google/siglip-base-patch16-256",
            folder.display()
        );
    }
    let embedder = load(folder, device)?;
    let kind = match embedder.processor().config().family {
        Family::Clip => "CLIP",
        Family::Siglip => "SigLIP",
    };
    let name = format!("{kind} {} ({})", folder.display(), &fingerprint(Some(folder), None)?[..12]);
    Ok(Box::new(ContrastiveText { name, embedder }))
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
