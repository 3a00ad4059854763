//! The language model: embedding, decoder blocks, norm and head.

mod attention;
mod block;
mod decoder;
mod mlp;

pub use attention::Attention;
pub use block::DecoderBlock;
pub use decoder::{Context, Decoder, Embedding, rotary};
pub use mlp::Mlp;
