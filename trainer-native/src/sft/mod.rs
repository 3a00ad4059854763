//! Supervised fine-tuning: stage 1, and the making of nano-base.

mod check;
mod evaluation;
mod labels;
mod loss;
mod packing;
mod plan;
mod recipe;
mod samples;
mod schedule;
mod survey;
mod train;

pub use check::check_data;
pub use loss::token_loss;
pub use recipe::{Overlong, SftRecipe};
pub use schedule::{Schedule, learning_rate};
pub use train::train;
