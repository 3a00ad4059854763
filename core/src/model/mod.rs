//! The network: configuration in, logits out. It holds weights and nothing else; caches, positions
//! and masks are arguments.
//!
//! Qwen2.5-VL: <https://arxiv.org/abs/2502.13923>, Qwen2-VL: <https://arxiv.org/abs/2409.12191>.
//! Every module follows the order of operations of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py>.

pub(crate) mod attend;
pub mod cache;
pub mod language;
mod linear;
pub mod mask;
mod norm;
pub mod positions;
pub mod rotary;
pub mod vision;
pub mod vlm;

pub use cache::Cache;
pub use linear::{Linear, LinearConfig};
pub use norm::{LayerNorm, Norm, RmsNorm};
pub use vlm::{Prompt, VisionLanguageModel};
