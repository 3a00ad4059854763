//! What the model thought and what it answered, told apart while the text comes.
//!
//! Follows the output format of Fine-R1, `<think> … </think><answer> … </answer>`:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/TAPO/examples/reward_function/cls_thinking.py>.

mod stream;
pub mod tags;
mod transcript;

pub use stream::{ReasoningEvent, ReasoningStream};
pub use transcript::{Transcript, matches_format, without_space_beside_marks};
