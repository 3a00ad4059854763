//! Training data: files on disk to conversations with pictures.

mod alpaca;
mod augment;
mod cell;
mod chat;
mod conversation;
mod images;
mod info;
mod labelled;
mod matlab;
mod mixture;
mod order;
mod parquet;
mod problem;
mod rows;
mod source;
mod tools;
mod triplet;

pub use augment::{Augmentation, augment};
pub use cell::Cell;
pub use conversation::{Conversation, split_content};
pub use images::{ImageSource, read_images};
pub use info::Entry;
pub use labelled::{Classes, LabelledImage, LabelledSet, Layout, Part, few_shots};
pub use mixture::{MixStrategy, SetSize, select};
pub use order::{epoch_order, grouped_order};
pub use problem::{RowError, RowProblem};
pub use rows::{RawRow, read_rows};
pub use source::{DataSet, read_dataset};
pub use triplet::{ImagesByClass, Triplet, classes, nearest_by, nearest_by_features, sample_shots, triplets};
