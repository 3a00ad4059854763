//! Whoever answers: a vision-language model that writes, or CLIP or SigLIP that choose.

use super::contrastive::load;
use super::{Chooser, DataSet, Question, Record, ask};
use crate::adapter::load_recognizer;
use crate::device::OpenDevice;
use anyhow::Result;
use fine_r1_core::contrastive::Embedder;
use fine_r1_core::recognizer::Recognizer;
use std::path::Path;

/// A checkpoint in memory.
pub enum Model {
    /// A vision-language model.
    Writes(Box<Recognizer>),
    /// CLIP or SigLIP.
    Chooses(Box<Embedder>),
}

impl Model {
    /// Loads a folder, or the embedded model where there is none, with an adapter where one is named.
    ///
    /// # Errors
    /// A file is missing, damaged, or does not fit the others.
    pub fn load(
        folder: Option<&Path>,
        adapter: Option<&Path>,
        chooses: bool,
        device: &OpenDevice,
    ) -> Result<Self> {
        match folder.filter(|_| chooses) {
            Some(folder) => Ok(Self::Chooses(Box::new(load(folder, device)?))),
            None => Ok(Self::Writes(Box::new(load_recognizer(folder, adapter, device)?))),
        }
    }

    /// Makes it ready for a set; `sentence` is how CLIP and SigLIP read a name.
    ///
    /// # Errors
    /// A name cannot be encoded, or the device failed.
    pub fn answerer(&self, set: &DataSet, sentence: &str) -> Result<Answerer<'_>> {
        Ok(match self {
            Self::Writes(recognizer) => Answerer::Writes(recognizer),
            Self::Chooses(embedder) => Answerer::Chooses(Chooser::new(embedder, set, sentence)?),
        })
    }
}

/// A checkpoint that is ready for one set.
pub enum Answerer<'model> {
    /// A vision-language model.
    Writes(&'model Recognizer),
    /// CLIP or SigLIP.
    Chooses(Chooser<'model>),
}

impl Answerer<'_> {
    /// Answers some rows, together.
    ///
    /// # Errors
    /// A photo cannot be read, or the device failed.
    pub fn answer(&self, set: &DataSet, question: &Question, rows: &[usize]) -> Result<Vec<Record>> {
        match self {
            Self::Writes(recognizer) => ask(recognizer, set, question, rows),
            Self::Chooses(chooser) => chooser.choose(set, &question.settings, rows),
        }
    }
}
