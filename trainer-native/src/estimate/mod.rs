//! What a recipe will take, reckoned before it starts: peak memory and time.

mod learning;
mod loads;
mod memory;
mod pace;
mod rollouts;
mod training;
mod weights;

pub use learning::{Reckoning, RlLoads};
pub use loads::Load;
pub use memory::{Memory, Trainee};
pub use pace::{Probe, Ways};
pub use rollouts::Rollouts;
pub use training::Training;
pub use weights::{Adapted, Weights, adapted};
