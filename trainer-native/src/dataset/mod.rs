//! Training data: files on disk to conversations with pictures.

mod augment;
mod conversation;
mod order;
mod sharegpt;
mod triplet;

pub use augment::augment;
pub use conversation::{Conversation, encode, split_content};
pub use order::epoch_order;
pub use sharegpt::read_dataset;
pub use triplet::{Classes, Triplet, classes, nearest_by, nearest_by_features, sample_shots, triplets};
