//! CLIP and SigLIP checkpoints on disk: they choose among a row's options, and tell how near texts are.
//!
//! Zero-shot classification: section 3.1 of <https://arxiv.org/abs/2103.00020>.

use super::confusion::softmax;
use super::photos::shown_photo;
use super::{DataSet, Record, Settings};
use crate::checkpoint::{map, read_text, weight_files};
use crate::device::OpenDevice;
use anyhow::{Result, anyhow};
use fine_r1_core::contrastive::{
    ContrastiveConfig, ContrastiveError, ContrastiveFiles, ContrastiveModel, ContrastiveProcessor, Embedder,
};
use fine_r1_core::weights::Loader;
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::Path;

/// Texts that go through the tower together.
const TEXT_BATCH: usize = 64;

/// Whether a folder holds CLIP or SigLIP.
#[must_use]
pub fn is_contrastive(folder: &Path) -> bool {
    read_text(&folder.join("config.json")).is_ok_and(|text| ContrastiveConfig::is_contrastive(&text))
}

/// Loads a CLIP or SigLIP checkpoint.
///
/// # Errors
/// A file is missing, damaged, or does not fit the others; the message names it.
pub fn load(folder: &Path, device: &OpenDevice) -> Result<Embedder> {
    let read = |name: &str| {
        let path = folder.join(name);
        if !path.is_file() {
            return Err(anyhow!(
                "{} is missing\nhint: a CLIP or SigLIP checkpoint holds config.json, preprocessor_config.json, \
                 tokenizer.json and model.safetensors",
                path.display()
            ));
        }
        read_text(&path)
    };
    let files = ContrastiveFiles {
        config: read("config.json")?,
        preprocessor: read("preprocessor_config.json")?,
        tokenizer: read("tokenizer.json")?.into_bytes(),
        tokenizer_config: read("tokenizer_config.json").ok(),
    };
    let processor = ContrastiveProcessor::new(&files).map_err(|error| explain(folder, &error))?;
    let model = ContrastiveModel::new(processor.config(), &device.device);
    let mut loader = Loader::new(model, device.precision);
    let weights = |error: fine_r1_core::weights::WeightsError| {
        anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint())
    };
    for name in weight_files(folder)? {
        loader.add(&name, &map(folder, &name)?).map_err(weights)?;
    }
    let (model, report) = loader.finish().map_err(weights)?;
    for name in report.odd {
        eprintln!("warning: {}: tensor `{name}` is not part of the model and was left out", folder.display());
    }
    Ok(Embedder::new(processor, model))
}

fn explain(path: &Path, error: &ContrastiveError) -> anyhow::Error {
    anyhow!("{}: {error}\nhint: {}", path.display(), error.hint())
}

/// Vectors of all texts, by text.
///
/// # Errors
/// A text cannot be encoded, or the device failed.
pub fn vectors(embedder: &Embedder, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
    let mut found = Vec::with_capacity(texts.len());
    for batch in texts.chunks(TEXT_BATCH) {
        let more = pollster::block_on(embedder.embed_texts(batch))
            .map_err(|error| anyhow!("{error}\nhint: {}", error.hint()))?;
        found.extend(more);
    }
    Ok(found)
}

/// Vectors of photos, which go through the tower together; each with its path, for messages.
///
/// # Errors
/// A photo is too narrow or too flat, or the device failed.
pub fn photo_vectors(embedder: &Embedder, photos: &[(&Path, RgbImage)]) -> Result<Vec<Vec<f32>>> {
    let cut = |(path, photo): &(&Path, RgbImage)| {
        let pixels = embedder.processor().pixels(photo);
        pixels.map_err(|error| explain(path, &error))
    };
    let photos = photos.iter().map(cut).collect::<Result<Vec<_>>>()?;
    pollster::block_on(embedder.embed_photos(&photos))
        .map_err(|error| anyhow!("{error}\nhint: {}", error.hint()))
}

/// A checkpoint that chooses, with the vectors of all names of a set.
pub struct Chooser<'model> {
    embedder: &'model Embedder,
    names: BTreeMap<String, Vec<f32>>,
}

impl<'model> Chooser<'model> {
    /// Reads every name of a set inside the sentence, whose place is `{}`.
    ///
    /// # Errors
    /// A name cannot be encoded, or the device failed.
    pub fn new(embedder: &'model Embedder, set: &DataSet, sentence: &str) -> Result<Self> {
        let mut names: Vec<&String> = set.rows.iter().flat_map(|row| &row.options).collect();
        names.sort_unstable();
        names.dedup();
        let sentences: Vec<String> =
            names.iter().map(|name| sentence.replace("{}", &name.replace('_', " "))).collect();
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        let names = names.into_iter().cloned().zip(vectors(embedder, &sentences)?).collect();
        Ok(Self { embedder, names })
    }

    /// Chooses among the options of some rows; their photos go through the tower together.
    ///
    /// # Errors
    /// A photo cannot be read, or the device failed.
    pub fn choose(&self, set: &DataSet, settings: &Settings, rows: &[usize]) -> Result<Vec<Record>> {
        let failed = |error: ContrastiveError| anyhow!("{error}\nhint: {}", error.hint());
        let photos =
            rows.iter().map(|number| shown_photo(set, settings, *number)).collect::<Result<Vec<_>>>()?;
        let photos = photo_vectors(self.embedder, &photos)?;
        let id = settings.id();
        let mut records = Vec::with_capacity(rows.len());
        for (number, photo) in rows.iter().zip(&photos) {
            let row = &set.rows[*number];
            let names: Vec<Vec<f32>> =
                settings.options(row, *number).iter().map(|name| self.names[name].clone()).collect();
            let logits = pollster::block_on(self.embedder.logits(std::slice::from_ref(photo), &names));
            let logits: Vec<f64> = logits.map_err(failed)?[0].iter().map(|logit| f64::from(*logit)).collect();
            let shown = settings.shown(set, *number);
            records.push(Record {
                shown: (shown != *number).then(|| set.rows[shown].image.clone()),
                ..Record::chosen(settings, &id, row, *number, softmax(&logits))
            });
        }
        Ok(records)
    }
}
