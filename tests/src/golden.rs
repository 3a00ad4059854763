//! The golden files, field for field; `tests/golden/README.md` says what they mean.

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders of `golden/checkpoints`.
pub const CHECKPOINTS: [&str; 3] = ["qwen2_5_vl-untied", "qwen2_5_vl-tied-bf16", "qwen2_vl"];

/// Names of the cases that every checkpoint has.
pub const CASES: [&str; 6] =
    ["text-only", "one-image", "image-above-max", "image-below-min", "two-images", "multi-turn"];

/// The workspace's folder.
///
/// # Panics
/// Never: the tests' folder lies in it.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie inside the workspace")
}

/// A path inside `golden/`.
#[must_use]
pub fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(path)
}

/// Reads a JSON file of `golden/`.
///
/// # Panics
/// It is absent or of another shape.
#[must_use]
pub fn read_json<T: DeserializeOwned>(path: &str) -> T {
    let full = golden(path);
    let text = fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// A tensor on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T> {
    /// Its axes.
    pub shape: Vec<usize>,
    /// Row-major.
    pub values: Vec<T>,
}

/// A safetensors file of `golden/`.
#[derive(Debug, Clone)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Panics
    /// It is absent.
    #[must_use]
    pub fn read(path: &str) -> Self {
        let path = golden(path);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { path, bytes }
    }

    /// Names of all tensors.
    ///
    /// # Panics
    /// The file is damaged.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.parse().names().into_iter().map(str::to_owned).collect()
    }

    /// A tensor of f32.
    ///
    /// # Panics
    /// It is absent or of another type.
    #[must_use]
    pub fn floats(&self, name: &str) -> Array<f32> {
        let (shape, bytes) = self.tensor(name, Dtype::F32);
        let values = bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        Array { shape, values }
    }

    /// A tensor of bytes.
    ///
    /// # Panics
    /// It is absent or of another type.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Array<u8> {
        let (shape, bytes) = self.tensor(name, Dtype::U8);
        Array { shape, values: bytes.to_vec() }
    }

    fn parse(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }

    fn tensor(&self, name: &str, dtype: Dtype) -> (Vec<usize>, &[u8]) {
        let view = self
            .parse()
            .tensor(name)
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", self.path.display()));
        assert_eq!(view.dtype(), dtype, "{}: {name}", self.path.display());
        (view.shape().to_vec(), view.data())
    }
}

/// `cases/images.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesFile {
    /// Every picture after decoding.
    pub images: Vec<DecodedImage>,
    /// The size rule.
    pub smart_resizes: Vec<SmartResize>,
    /// Pillow's bicubic resize.
    pub resizes: Vec<Resize>,
    /// What the image processor gives the model.
    pub pixel_values: Vec<PixelValues>,
}

impl ImagesFile {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        read_json("cases/images.json")
    }
}

/// A picture after decoding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodedImage {
    /// Name in `images/`.
    pub file: String,
    /// Pillow's name of the container.
    pub format: String,
    /// Pillow's name of the pixels' kind.
    pub mode: String,
    /// After decoding.
    pub width: u32,
    /// After decoding.
    pub height: u32,
    /// Of the bytes `[height, width, 3]`.
    pub rgb_sha256: String,
    /// Of each channel.
    pub mean: [f64; 3],
}

/// `cases/photos.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhotosFile {
    /// Some photos of `tests/data`.
    pub photos: Vec<DecodedPhoto>,
}

impl PhotosFile {
    /// Reads it.
    #[must_use]
    pub fn read() -> Self {
        read_json("cases/photos.json")
    }
}

/// A photo after decoding.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecodedPhoto {
    /// Path in `data/airliners/`.
    pub file: String,
    /// After decoding.
    pub width: u32,
    /// After decoding.
    pub height: u32,
    /// Of the bytes `[height, width, 3]`.
    pub rgb_sha256: String,
}

/// A row of the size rule's table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartResize {
    /// Before.
    pub height: u32,
    /// Before.
    pub width: u32,
    /// Both sides become multiples of it.
    pub factor: u32,
    /// Smallest area.
    pub min_pixels: u64,
    /// Largest area.
    pub max_pixels: u64,
    /// Height and width after; absent where transformers refuses.
    pub resized: Option<(u32, u32)>,
}

/// A picture resized by Pillow.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Name in `images/`.
    pub file: String,
    /// After.
    pub width: u32,
    /// After.
    pub height: u32,
    /// U8 `[height, width, 3]`
    pub tensor: String,
}

/// A picture as the model takes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelValues {
    /// Name in `images/`.
    pub file: String,
    /// Smallest area.
    pub min_pixels: u64,
    /// Largest area.
    pub max_pixels: u64,
    /// Patches along time, height, width.
    pub grid_thw: [usize; 3],
    /// U8 `[patches, 3, 196]`, codes of the values.
    pub tensor: String,
}

/// `cases/prompts.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptsFile {
    /// Through template and tokenizer.
    pub conversations: Vec<Conversation>,
    /// Through the tokenizer alone.
    pub texts: Vec<TokenizedText>,
}

/// A conversation as text and ids.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Of the case.
    pub name: String,
    /// What the template gets.
    pub messages: Value,
    /// Whether the assistant's turn is opened.
    pub add_generation_prompt: bool,
    /// Whether images are numbered.
    pub add_vision_id: bool,
    /// Rendered.
    pub text: String,
    /// With one placeholder an image.
    pub token_ids: Vec<u32>,
    /// Grids of the images.
    pub image_grid_thw: Vec<[usize; 3]>,
    /// With as many placeholders as the images have tokens.
    pub expanded_token_ids: Vec<u32>,
}

/// A text as ids and back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizedText {
    /// The text.
    pub text: String,
    /// Its ids.
    pub token_ids: Vec<u32>,
    /// The ids' text.
    pub decoded: String,
    /// The same without special tokens.
    pub decoded_without_special: String,
}

/// `cases/positions.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionsFile {
    /// Side of a merged square.
    pub spatial_merge_size: usize,
    /// Hand-made sequences.
    pub layouts: Vec<PositionLayout>,
}

/// A sequence and its positions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionLayout {
    /// Runs of text and images.
    pub layout: Vec<LayoutRun>,
    /// Time, height, width.
    pub position_ids: [Vec<i32>; 3],
    /// Next position less length.
    pub rope_delta: i32,
}

/// A part of a sequence.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum LayoutRun {
    /// So many text tokens.
    Text(usize),
    /// An image of this grid.
    Image([usize; 3]),
}

/// `cases/<checkpoint>/<case>.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCase {
    /// Folder in `checkpoints/`.
    pub checkpoint: String,
    /// What was asked.
    pub messages: Value,
    /// Rendered.
    pub prompt: String,
    /// Placeholders expanded.
    pub input_ids: Vec<u32>,
    /// Grids of the images.
    pub image_grid_thw: Vec<[usize; 3]>,
    /// Time, height, width.
    pub position_ids: [Vec<i32>; 3],
    /// Next position less length.
    pub rope_delta: i32,
    /// Which logits are kept.
    pub logit_positions: Vec<usize>,
    /// A text after the prompt.
    pub continuation: String,
    /// Its ids.
    pub continuation_token_ids: Vec<u32>,
    /// How likely each is.
    pub continuation_log_probs: Vec<f32>,
    /// The likeliest answer.
    pub greedy_ids: Vec<u32>,
    /// Smallest gap between the best two scores.
    pub greedy_margin: f32,
    /// Without special tokens.
    pub greedy_text: String,
    /// In `one-image` alone.
    pub repetition_penalty: Option<f64>,
    /// The likeliest answer under the penalty.
    pub penalised_greedy_ids: Option<Vec<u32>>,
    /// Smallest gap under the penalty.
    pub penalised_greedy_margin: Option<f32>,
}

impl ModelCase {
    /// Reads a case and its tensors.
    #[must_use]
    pub fn read(checkpoint: &str, case: &str) -> (Self, TensorFile) {
        let path = format!("cases/{checkpoint}/{case}");
        (read_json(&format!("{path}.json")), TensorFile::read(&format!("{path}.safetensors")))
    }
}

/// `cases/<checkpoint>/batch.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchCase {
    /// Folder in `checkpoints/`.
    pub checkpoint: String,
    /// The prompts.
    pub rows: Vec<BatchRow>,
    /// Grids of all rows' images.
    pub image_grid_thw: Vec<[usize; 3]>,
    /// Fills up.
    pub pad_token_id: u32,
    /// Padded on the left.
    pub left: PaddedBatch,
    /// Padded on the right.
    pub right: PaddedBatch,
    /// The likeliest answers.
    pub greedy_ids: Vec<Vec<u32>>,
    /// Smallest gap between the best two scores.
    pub greedy_margin: f32,
}

impl BatchCase {
    /// Reads the batch of a checkpoint and its tensors.
    #[must_use]
    pub fn read(checkpoint: &str) -> (Self, TensorFile) {
        let path = format!("cases/{checkpoint}/batch");
        (read_json(&format!("{path}.json")), TensorFile::read(&format!("{path}.safetensors")))
    }
}

/// A row of a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRow {
    /// The case that is the same prompt alone.
    pub case: String,
    /// Rendered.
    pub prompt: String,
}

/// A batch padded on one side.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaddedBatch {
    /// `[rows][seq]`
    pub input_ids: Vec<Vec<u32>>,
    /// `[rows][seq]`, 0 where there is padding
    pub attention_mask: Vec<Vec<u8>>,
    /// `[axes][rows][seq]`
    pub position_ids: [Vec<Vec<i32>>; 3],
    /// Next position less length; some versions wrap each in a list.
    pub rope_deltas: Value,
    /// Each row's last real place.
    pub last: Vec<usize>,
}

/// `cases/adapters.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptersFile {
    /// Constants of the training loop.
    pub training: AdapterTraining,
    /// The adapters of `adapters/`.
    pub adapters: Vec<AdapterRecord>,
}

impl AdaptersFile {
    /// Reads it; its tensors are in `cases/adapters.safetensors`.
    #[must_use]
    pub fn read() -> Self {
        read_json("cases/adapters.json")
    }
}

/// Constants of torch's AdamW.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterTraining {
    /// Of every step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// Keeps the division finite.
    pub epsilon: f32,
    /// Of matrices.
    pub weight_decay: f32,
    /// Longest joint gradient.
    pub max_grad_norm: f64,
}

/// An adapter and what the model answers with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterRecord {
    /// Folder in `adapters/`.
    pub name: String,
    /// Folder in `checkpoints/`.
    pub checkpoint: String,
    /// Whose prompt is asked.
    pub case: String,
    /// A text after the prompt.
    pub continuation: String,
    /// How likely each of its tokens is.
    pub continuation_log_probs: Vec<f32>,
    /// Of the continuation, before every step of training.
    pub losses: Vec<f64>,
}
