//! What is computed on: photos, questions and models that need no files.

use super::load::Sizes;
use crate::checkpoint::{self, embedded_files};
use crate::dataset::{Conversation, ImageSource};
use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use fine_r1_core::config::{ModelConfig, Preset};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, ask};
use fine_r1_core::prompt::{Message, Part, Role};
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::Precision;
use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

/// Draws random weights.
const SEED: u64 = 7;

/// A checkpoint of random weights with the embedded model's tokenizer, and what it is asked.
pub struct Subject {
    /// Turns questions into prompts.
    pub processor: Processor,
    /// A question about a photo.
    pub prompt: Prompt,
    /// Side of its photo, in pixels.
    pub photo_side: u32,
}

impl Subject {
    /// Sizes of a preset, and a photo of the wished size.
    ///
    /// # Errors
    /// The photo is too small for a patch.
    pub fn new(preset: &Preset, sizes: &Sizes) -> Result<Self> {
        let mut files = embedded_files();
        let embedded = ModelConfig::from_json(&files.config).context("the embedded model")?;
        let config = ModelConfig {
            tokens: embedded.tokens,
            bos_token_id: embedded.bos_token_id,
            eos_token_id: embedded.eos_token_id,
            ..preset.model.clone()
        };
        files.config = config.to_json();
        let mut images = preset.preprocessor.clone();
        images.min_pixels = 28 * 28;
        images.max_pixels = images.max_pixels.max(u64::from(sizes.photo_side).pow(2));
        files.set_image_settings(&images);
        let processor = Processor::new(&files).context("the embedded tokenizer with other sizes")?;
        let prompt = question(&processor, &photo(0, sizes.photo_side, sizes.photo_side), &[])?;
        Ok(Self { processor, prompt, photo_side: sizes.photo_side })
    }

    /// Random weights, drawn on the device.
    #[must_use]
    pub fn model(&self, device: &Device, precision: Precision) -> VisionLanguageModel {
        device.seed(SEED);
        checkpoint::cast(VisionLanguageModel::new(self.processor.config(), device), precision.dtype())
    }
}

/// A photo without meaning; each number gives another.
#[must_use]
pub fn photo(number: u32, width: u32, height: u32) -> RgbImage {
    let wave = |position: u32, period: u32| ((position * 255 / period) % 256) as u8;
    RgbImage::from_fn(width, height, |x, y| {
        let ring = (x.abs_diff(width / 2).pow(2) + y.abs_diff(height / 2).pow(2)) / (40 + 25 * number);
        Rgb([wave(x + 9 * number, 40 + number), wave(y, 64 + number), (ring % 256) as u8])
    })
}

/// The question that every photo is asked about, perhaps with names to choose from.
///
/// # Errors
/// The photo is too narrow or too flat.
pub fn question(processor: &Processor, photo: &RgbImage, candidates: &[String]) -> Result<Prompt> {
    let asked = ask("photo", DEFAULT_QUESTION, candidates);
    let prepared = processor.prepare(&asked, std::slice::from_ref(photo));
    Ok(prepared.map_err(|error| anyhow!("{error}\nhint: {}", error.hint()))?.prompt)
}

/// A row to learn from: a photo, a question and an answer.
///
/// # Errors
/// The photo cannot be encoded.
pub fn row(number: u32, side: u32, answer: &str) -> Result<Conversation> {
    let mut bytes = Cursor::new(Vec::new());
    photo(number, side, side).write_to(&mut bytes, ImageFormat::Png).context("a picture in memory")?;
    let source = format!("row {number}");
    let parts = [Part::unnamed_image(), Part::text(DEFAULT_QUESTION)];
    Ok(Conversation {
        messages: vec![Message::user(parts), Message::text(Role::Assistant, answer)],
        images: vec![ImageSource::Inside { name: source.clone(), bytes: bytes.into_inner().into() }],
        source,
        confounder: None,
    })
}
