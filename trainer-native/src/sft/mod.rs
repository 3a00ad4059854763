//! Supervised fine-tuning: stage 1, and the making of nano-base.

mod check;
mod evaluation;
mod labels;
mod llamafactory;
mod loss;
mod packing;
mod plan;
mod recipe;
mod samples;
mod schedule;
mod step;
mod survey;
mod train;
mod vision;

pub use check::check_data;
pub use loss::{MAX_SCORES, token_loss};
pub use plan::Plan;
pub use recipe::{Averaging, Overlong, SftRecipe, Stage};
pub use samples::read_sequences;
pub use schedule::{Schedule, learning_rate};
pub use step::{Pass, run_step};
pub use survey::{Depth, Row, survey};
pub use train::{read_processor, train};
