//! The network: configuration in, logits out. It holds weights and nothing else; caches, positions
//! and masks are arguments.
//!
//! Qwen2.5-VL: <https://arxiv.org/abs/2502.13923>, Qwen2-VL: <https://arxiv.org/abs/2409.12191>.
//! Every module follows the order of operations of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py>.

pub(crate) mod attend;
pub mod cache;
mod gallery;
pub mod language;
mod linear;
mod linears;
mod low_rank;
pub mod mask;
mod norm;
pub mod positions;
pub mod rotary;
pub mod vision;
pub mod vlm;

pub use cache::Cache;
pub use gallery::Gallery;
pub use linear::{Linear, LinearConfig, PackedWeight};
pub use low_rank::{Dropout, LowRank, Magnitude, row_squares};
pub use norm::{LayerNorm, Norm, RmsNorm};
pub use vlm::{Prompt, VisionLanguageModel};
