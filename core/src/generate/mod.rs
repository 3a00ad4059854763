//! From a prompt to tokens: the one decode loop, the sampler, and when to stop.

mod draw;
mod row;
mod sampler;
mod session;
mod stop;

pub use sampler::{Sampler, SamplingOptions};
pub use session::{GenerateError, Session, SessionOptions, Step};
pub use stop::{StopReason, StopRules, StopStrings};
