//! The stage before the first answer: the vision tower learns to tell the answers of a data set apart,
//! by a head that is thrown away, as vision transformers are pre-trained on classes:
//! <https://arxiv.org/abs/2010.11929>, section 3.1. The language model is not read.
//!
//! Published checkpoints come with a tower that has seen billions of pictures. A fresh one learns next
//! to nothing through a fresh language model.

mod classes;
mod classifier;
mod lesson;
mod pooling;
mod prior;
mod step;

pub use classes::Classes;
pub use classifier::{Classifier, Head};
pub use lesson::Lesson;
pub use prior::Prior;
pub use step::{discernment, run_step};
