//! The front door: texts in, one vector of length 1 for each out.

use super::{Batch, Bert, BertConfig, Pooling, SentenceTokenizer};
use crate::weights::{Loader, Precision, ShardIndex, WeightsError};
use burn::tensor::{DType, Device, ExecutionError, Int, Tensor, TensorData};
use serde::Deserialize;
use thiserror::Error;

/// Texts that are computed together.
const BATCH: usize = 32;
/// Vectors are not divided by less.
const SMALLEST_LENGTH: f64 = 1e-12;

/// The files of an embedder's folder, weights aside.
#[derive(Debug, Clone, Default)]
pub struct EmbedderFiles {
    /// `config.json`
    pub config: String,
    /// `tokenizer.json`
    pub tokenizer: Vec<u8>,
    /// `1_Pooling/config.json`, where there is one
    pub pooling: Option<String>,
    /// `sentence_bert_config.json`, where there is one
    pub limits: Option<String>,
}

/// Why there is no vector.
#[derive(Debug, Error)]
pub enum EmbedError {
    /// A JSON file is malformed.
    #[error("{file}: {source}")]
    Json {
        /// Its name.
        file: &'static str,
        /// What serde found.
        source: serde_json::Error,
    },
    /// A setting that is not computed here.
    #[error("{file}: `{field}` is {found}, expected {expected}")]
    Unsupported {
        /// The file.
        file: &'static str,
        /// The setting.
        field: &'static str,
        /// Its value.
        found: String,
        /// Values that are computed.
        expected: &'static str,
    },
    /// `tokenizer.json`.
    #[error("tokenizer.json: {reason}")]
    Tokenizer {
        /// What is wrong.
        reason: String,
    },
    /// `tokenizer.json` knows more tokens than the model.
    #[error("tokenizer.json has ids up to {largest}, the model's vocabulary ends at {vocab}")]
    TokenizerTooLarge {
        /// Largest id.
        largest: u32,
        /// Size of the model's vocabulary.
        vocab: usize,
    },
    /// The weights.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
}

impl EmbedError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Device(_) => {
                "the device may be out of memory: close other programs or choose another device"
            }
            Self::Weights(error) => error.hint(),
            _ => {
                "take a sentence-transformers checkpoint of the BERT family, such as all-MiniLM-L6-v2, with its \
                 tokenizer.json"
            }
        }
    }
}

/// `sentence_bert_config.json`
#[derive(Debug, Deserialize)]
struct Limits {
    #[serde(default)]
    max_seq_length: Option<usize>,
}

/// A checkpoint, ready to embed texts.
#[derive(Debug)]
pub struct SentenceEmbedder {
    model: Bert,
    tokenizer: SentenceTokenizer,
    pooling: Pooling,
    device: Device,
}

impl SentenceEmbedder {
    /// Joins a folder's files and the bytes of its `model.safetensors`. Weights are kept in f32.
    ///
    /// # Errors
    /// A file is malformed, the weights do not fit, or the model is of another family.
    pub fn new(files: &EmbedderFiles, weights: &[u8], device: &Device) -> Result<Self, EmbedError> {
        let json = |file| move |source| EmbedError::Json { file, source };
        let config: BertConfig = serde_json::from_str(&files.config).map_err(json("config.json"))?;
        check(&config)?;
        let pooling = match &files.pooling {
            None => Pooling::default(),
            Some(text) => {
                Pooling::from_json(text).map_err(json("1_Pooling/config.json"))?.ok_or_else(|| {
                    EmbedError::Unsupported {
                        file: "1_Pooling/config.json",
                        field: "pooling_mode",
                        found: "another".into(),
                        expected: "mean_tokens or cls_token alone",
                    }
                })?
            }
        };
        let limit = match &files.limits {
            None => None,
            Some(text) => {
                serde_json::from_str::<Limits>(text)
                    .map_err(json("sentence_bert_config.json"))?
                    .max_seq_length
            }
        };
        let max_tokens = limit.unwrap_or(usize::MAX).min(config.max_position_embeddings);
        let tokenizer = SentenceTokenizer::from_bytes(&files.tokenizer, max_tokens)?;
        let largest = tokenizer.largest_id();
        if largest as usize >= config.vocab_size {
            return Err(EmbedError::TokenizerTooLarge { largest, vocab: config.vocab_size });
        }
        let mut loader = Loader::new(Bert::new(&config, device), Some(Precision::F32));
        loader.add(ShardIndex::SINGLE, weights)?;
        // What is left over is the pooler, which sentence embeddings do not use.
        let (model, _) = loader.finish()?;
        Ok(Self { model, tokenizer, pooling, device: device.clone() })
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &SentenceTokenizer {
        &self.tokenizer
    }

    /// One vector of `hidden` numbers and Euclidean length 1 for every text, in their order.
    ///
    /// # Errors
    /// A text cannot be encoded, or the device failed.
    pub async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, EmbedError> {
        // Texts of like length together need little padding.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|index| texts[*index].len());
        let mut vectors = vec![Vec::new(); texts.len()];
        for indices in order.chunks(BATCH) {
            let some: Vec<String> = indices.iter().map(|index| texts[*index].clone()).collect();
            let pooled = self.pool(&self.tokenizer.encode(&some)?);
            let [_, hidden] = pooled.dims();
            let data = pooled.cast(DType::F32).into_data_async().await.map_err(EmbedError::Device)?;
            let numbers: Vec<f32> = data.iter::<f32>().collect();
            for (index, vector) in indices.iter().zip(numbers.chunks(hidden)) {
                vectors[*index] = vector.to_vec();
            }
        }
        Ok(vectors)
    }

    /// # Shapes
    /// - output: `[batch, hidden]`, rows of length 1
    fn pool(&self, texts: &Batch) -> Tensor<2> {
        let (batch, seq) = (texts.batch, texts.seq);
        let ids = TensorData::new(texts.ids.clone(), [batch, seq]);
        let ids = Tensor::<2, Int>::from_data(ids, &self.device);
        let mask: Vec<f32> = texts.is_token.iter().map(|is_token| f32::from(u8::from(*is_token))).collect();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [batch, seq]), &self.device);
        let states = self.model.forward(ids, mask.clone());
        let [_, _, hidden] = states.dims();
        let pooled = match self.pooling {
            Pooling::FirstToken => states.narrow(1, 0, 1),
            Pooling::Mean => {
                let mask = mask.reshape([batch, seq, 1]);
                let count = mask.clone().sum_dim(1);
                (states * mask).sum_dim(1) / count
            }
        };
        let pooled = pooled.reshape([batch, hidden]);
        let length = pooled.clone().square().sum_dim(1).sqrt().clamp_min(SMALLEST_LENGTH);
        pooled / length
    }
}

/// Refuses what is computed otherwise than here, and sizes that do not fit each other.
fn check(config: &BertConfig) -> Result<(), EmbedError> {
    let unsupported = |field, found: &str, expected| {
        Err(EmbedError::Unsupported { file: "config.json", field, found: found.to_owned(), expected })
    };
    if config.model_type != "bert" {
        return unsupported("model_type", &config.model_type, "bert");
    }
    if config.hidden_act != "gelu" {
        return unsupported("hidden_act", &config.hidden_act, "gelu");
    }
    if config.position_embedding_type != "absolute" {
        return unsupported("position_embedding_type", &config.position_embedding_type, "absolute");
    }
    let heads = config.num_attention_heads;
    if heads == 0 || config.hidden_size == 0 || !config.hidden_size.is_multiple_of(heads) {
        return unsupported("num_attention_heads", &heads.to_string(), "a divisor of hidden_size");
    }
    if config.max_position_embeddings < 3 || config.type_vocab_size == 0 {
        return unsupported(
            "max_position_embeddings",
            &config.max_position_embeddings.to_string(),
            "room for a token and the marks around it",
        );
    }
    Ok(())
}
