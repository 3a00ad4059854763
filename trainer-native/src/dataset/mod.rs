//! Training data: files on disk to conversations with pictures.

mod alpaca;
mod augment;
mod cell;
mod chat;
mod conversation;
mod images;
mod info;
mod mixture;
mod order;
mod parquet;
mod problem;
mod rows;
mod source;

pub use augment::augment;
pub use cell::Cell;
pub use conversation::{Conversation, split_content};
pub use images::ImageSource;
pub use info::Entry;
pub use mixture::{MixStrategy, SetSize, select};
pub use order::{epoch_order, grouped_order};
pub use problem::{RowError, RowProblem};
pub use source::{DataSet, read_dataset};
