//! Training data: files on disk to conversations with pictures.

mod augment;
mod conversation;
mod labelled;
mod matlab;
mod order;
mod sharegpt;

pub use augment::augment;
pub use conversation::{Conversation, encode, split_content};
pub use labelled::{Classes, LabelledImage, LabelledSet, Layout, Part, few_shots};
pub use order::epoch_order;
pub use sharegpt::read_dataset;
