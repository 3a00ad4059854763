//! The front door: a CLIP or SigLIP checkpoint that turns texts and photos into unit vectors.

use super::{ContrastiveConfig, ContrastiveError, ContrastiveModel, Family, PixelSettings, Pixels};
use crate::config::fields::read_object;
use crate::prompt::Tokenizer;
use burn::tensor::{DType, Tensor, TensorData};
use image::RgbImage;
use serde_json::Value;

/// The files of a checkpoint besides the weights.
#[derive(Debug, Clone, Default)]
pub struct ContrastiveFiles {
    /// `config.json`
    pub config: String,
    /// `preprocessor_config.json`
    pub preprocessor: String,
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
    /// `tokenizer_config.json`, where there is one
    pub tokenizer_config: Option<String>,
}

/// Everything of a checkpoint but the weights.
#[derive(Debug, Clone)]
pub struct ContrastiveProcessor {
    config: ContrastiveConfig,
    pixels: PixelSettings,
    tokenizer: Tokenizer,
    begin: Option<u32>,
    end: u32,
    pad: u32,
}

impl ContrastiveProcessor {
    /// Reads a checkpoint's files.
    ///
    /// # Errors
    /// A file is malformed, or two of them contradict each other.
    pub fn new(files: &ContrastiveFiles) -> Result<Self, ContrastiveError> {
        let config = ContrastiveConfig::from_json(&files.config)?;
        let pixels = PixelSettings::from_json(&files.preprocessor, &config)?;
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
        let named = match &files.tokenizer_config {
            Some(text) => read_object("tokenizer_config.json", text)?,
            None => serde_json::Map::new(),
        };
        let find = |role: &'static str, otherwise: &str| -> Result<u32, ContrastiveError> {
            // A token is its spelling, or an object that has it as `content`.
            let token = match named.get(role) {
                Some(Value::Object(fields)) => fields.get("content").and_then(Value::as_str),
                other => other.and_then(Value::as_str),
            };
            let token = token.unwrap_or(otherwise);
            tokenizer.token_id(token).ok_or_else(|| ContrastiveError::Token { token: token.to_owned(), role })
        };
        let (begin, end, pad) = match config.family {
            Family::Clip => {
                let end = find("eos_token", "<|endoftext|>")?;
                (Some(find("bos_token", "<|startoftext|>")?), end, end)
            }
            Family::Siglip => (None, find("eos_token", "</s>")?, find("pad_token", "</s>")?),
        };
        Ok(Self { config, pixels, tokenizer, begin, end, pad })
    }

    /// `config.json`.
    #[must_use]
    pub fn config(&self) -> &ContrastiveConfig {
        &self.config
    }

    /// The ids of a text as the model takes them: cut to its length, ended, and in SigLIP filled up.
    ///
    /// # Errors
    /// The tokenizer fails, or does not fit the model.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, ContrastiveError> {
        let most = self.config.max_tokens - 1;
        // SigLIP 2's file does not say that texts were lower case in training; the others' repeat it.
        let text = match self.config.family {
            Family::Siglip => text.to_lowercase(),
            Family::Clip => text.to_owned(),
        };
        let mut ids: Vec<u32> = self.begin.into_iter().chain(self.tokenizer.encode(&text)?).collect();
        ids.truncate(most);
        ids.push(self.end);
        if self.config.family == Family::Siglip {
            ids.resize(self.config.max_tokens, self.pad);
        }
        match ids.iter().max() {
            Some(largest) if *largest as usize >= self.config.vocab_size => {
                Err(ContrastiveError::TokenizerTooLarge { largest: *largest, vocab: self.config.vocab_size })
            }
            _ => Ok(ids),
        }
    }

    /// The patches of a photo.
    ///
    /// # Errors
    /// The photo is too narrow or too flat.
    pub fn pixels(&self, photo: &RgbImage) -> Result<Pixels, ContrastiveError> {
        Ok(self.pixels.cut(photo, &self.config)?)
    }
}

/// A checkpoint with its weights.
#[derive(Debug)]
pub struct Embedder {
    processor: ContrastiveProcessor,
    model: ContrastiveModel,
}

impl Embedder {
    /// Puts the parts together.
    #[must_use]
    pub fn new(processor: ContrastiveProcessor, model: ContrastiveModel) -> Self {
        Self { processor, model }
    }

    /// Everything but the weights.
    #[must_use]
    pub fn processor(&self) -> &ContrastiveProcessor {
        &self.processor
    }

    /// Unit vectors of texts, `width` numbers each.
    ///
    /// # Errors
    /// The tokenizer or the device failed.
    pub async fn embed_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ContrastiveError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let ids = texts.iter().map(|text| self.processor.tokens(text)).collect::<Result<Vec<_>, _>>()?;
        rows(self.model.embed_texts(&ids, &self.processor.config)).await
    }

    /// Unit vectors of photos, `width` numbers each.
    ///
    /// # Errors
    /// The device failed.
    pub async fn embed_photos(&self, photos: &[Pixels]) -> Result<Vec<Vec<f32>>, ContrastiveError> {
        if photos.is_empty() {
            return Ok(Vec::new());
        }
        rows(self.model.embed_photos(photos, &self.processor.config)).await
    }

    /// Logits of photos against texts, from their unit vectors: `[photos][texts]`.
    ///
    /// # Errors
    /// The device failed.
    pub async fn logits(
        &self,
        photos: &[Vec<f32>],
        texts: &[Vec<f32>],
    ) -> Result<Vec<Vec<f32>>, ContrastiveError> {
        if photos.is_empty() || texts.is_empty() {
            return Ok(vec![Vec::new(); photos.len()]);
        }
        let device = self.model.logit_scale.val().device();
        let tensor = |rows: &[Vec<f32>]| {
            let data = TensorData::new(rows.concat(), [rows.len(), self.processor.config.width]);
            Tensor::<2>::from_data(data, (&device, DType::F32))
        };
        rows(self.model.logits(tensor(photos), tensor(texts))).await
    }
}

async fn rows(tensor: Tensor<2>) -> Result<Vec<Vec<f32>>, ContrastiveError> {
    let [_, width] = tensor.dims();
    let data = tensor.into_data_async().await.map_err(ContrastiveError::Device)?;
    let values: Vec<f32> = data.iter::<f32>().collect();
    Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
}
