//! What the tests share: the golden files as data, checkpoints that are ready to be asked, the program,
//! and folders that may be spoilt.
//!
//! Nothing here forgives: a golden file that is absent or has another shape is a panic that names it.

mod checkpoint;
mod difference;
mod golden;
mod numbers;
pub mod program;
pub mod scratch;

pub use checkpoint::{checkpoint_files, load, load_folder, open_image, photos, prepare};
pub use difference::Largest;
pub use golden::{
    AdapterRecord, AdapterTraining, AdaptersFile, Array, BatchCase, BatchRow, CASES, CHECKPOINTS,
    Conversation, DecodedImage, DecodedPhoto, ImagesFile, LayoutRun, ModelCase, PaddedBatch, PhotosFile,
    PositionsFile, PromptsFile, TensorFile, golden, read_json, workspace,
};
pub use numbers::numbers;
