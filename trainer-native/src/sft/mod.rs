//! Supervised fine-tuning: stage 1, and the making of nano-base.

mod held_out;
mod llamafactory;
mod loss;
mod recipe;
mod samples;
mod schedule;
mod step;
mod train;

pub use recipe::{Averaging, SftRecipe};
pub use schedule::{Rise, Schedule};
pub use train::train;
