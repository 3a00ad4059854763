//! The vision tower: patches in, one vector for every square of merged patches out.

mod attention;
mod block;
mod layout;
mod merger;
mod patch_embed;
mod tower;

pub use attention::VisionAttention;
pub use block::{FeedForward, QuickGeluMlp, VisionBlock};
pub use layout::{Layout, Segments};
pub use merger::Merger;
pub use patch_embed::PatchEmbed;
pub use tower::VisionTower;
