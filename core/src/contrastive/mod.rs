//! Models that hold pictures and sentences in one space: CLIP and SigLIP, both towers.
//!
//! ```text
//! texts  [batch, seq]            -> embeddings -> encoder -> last token or end token -> [batch, width]
//! photos [batch, patches, dim]   -> embeddings -> encoder -> pooling or class token  -> [batch, width]
//! ```
//!
//! CLIP: <https://arxiv.org/abs/2103.00020>, SigLIP: <https://arxiv.org/abs/2303.15343>. Order of operations of
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/siglip/modeling_siglip.py> and
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/clip/modeling_clip.py>.

mod attention;
mod config;
mod encoder;
mod error;
mod model;
mod pixels;
mod pooling;
mod processor;
mod text;
mod vision;

pub use attention::Attention;
pub use config::{Activation, ContrastiveConfig, Family, TowerConfig};
pub use encoder::{Encoder, EncoderLayer, FeedForward};
pub use error::ContrastiveError;
pub use model::ContrastiveModel;
pub use pixels::{PixelSettings, Pixels};
pub use pooling::PoolingHead;
pub use processor::{ContrastiveFiles, ContrastiveProcessor, Embedder};
pub use text::TextTower;
pub use vision::VisionTower;
