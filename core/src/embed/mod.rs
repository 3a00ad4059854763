//! Sentences as vectors: a checkpoint of the BERT family, as sentence-transformers trains them (MiniLM, E5, BGE).
//!
//! Sentence-BERT: <https://arxiv.org/abs/1908.10084>, MiniLM: <https://arxiv.org/abs/2002.10957>. The data flow:
//! `texts -> ids [batch, seq] -> states [batch, seq, hidden] -> one vector a text [batch, hidden], of length 1`.

mod bert;
mod config;
mod sentence;
mod tokens;

pub use bert::Bert;
pub use config::{BertConfig, Pooling};
pub use sentence::{EmbedError, EmbedderFiles, SentenceEmbedder};
pub use tokens::{Batch, SentenceTokenizer};
