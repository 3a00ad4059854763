//! What a recipe will take, reckoned before it starts: peak memory and time.

mod loads;
mod memory;
mod pace;

pub use loads::Load;
pub use memory::{Memory, Weights, peak};
pub use pace::Pace;
