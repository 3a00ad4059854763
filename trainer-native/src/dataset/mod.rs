//! Training data: files on disk to conversations with pictures.

mod conversation;
mod order;
mod sharegpt;

pub use conversation::{Conversation, encode, split_content};
pub use order::epoch_order;
pub use sharegpt::read_dataset;
