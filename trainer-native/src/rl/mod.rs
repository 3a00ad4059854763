//! Reinforcement learning from rewards that can be checked: stage 2.
//!
//! A step draws answers (`rollout`) to every picture that a question is shown with (`views`), has them
//! judged (`reward`), keeps the questions that teach something (`filter`), weighs every answer against its
//! group (`advantage`) and moves the weights along the gradient of an objective (`objective`), which sees
//! log-probabilities (`log_prob`) and never text. `train` is the loop.

mod advantage;
mod alarm;
mod average;
mod checks;
mod contrast;
mod ending;
mod entropy;
mod features;
mod filter;
mod gather;
mod gradient;
mod kl;
mod learn;
mod learnt;
mod log;
mod log_prob;
mod measure;
mod objective;
mod overlay;
mod parity;
mod question;
mod recipe;
mod reference;
mod report;
mod resumed;
mod reward;
mod rollout;
mod schedule;
mod seed;
mod setup;
mod state;
mod step;
mod surrogate;
mod tokens;
mod train;
mod update;
mod views;

pub use gather::{Answer, Group};
pub use learn::Teacher;
pub use learnt::Learnt;
pub use measure::{Measure, measure};
pub use objective::Objective;
pub use question::{Question, read_questions};
pub use recipe::RlRecipe;
pub use reference::Reference;
pub use reward::{Verdict, name_likeness};
pub use rollout::{Drawer, Drawn};
pub use setup::total_steps;
pub use step::Moment;
pub use train::train;
pub use views::Picture;
