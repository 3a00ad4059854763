//! Supervised fine-tuning: stage 1, and the making of nano-base.

mod loss;
mod recipe;
mod schedule;
mod train;

pub use loss::token_loss;
pub use recipe::{FinetuningType, SftRecipe};
pub use schedule::{Schedule, learning_rate};
pub use train::train;
