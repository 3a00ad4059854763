//! Supervised fine-tuning: stage 1, and the making of nano-base.

mod held_out;
mod llamafactory;
mod loss;
mod recipe;
mod samples;
mod schedule;
mod step;
mod train;

pub use loss::{MAX_SCORES, token_loss};
pub use recipe::{Averaging, SftRecipe};
pub use samples::{choose, read_all, read_samples};
pub use schedule::{Schedule, learning_rate};
pub use train::{train, with_image_size};
