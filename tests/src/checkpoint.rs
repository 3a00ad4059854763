//! Checkpoints in folders, loaded through the same doors of the core that programs use.

use crate::golden::golden;
use burn::tensor::Device;
use fine_r1_core::image::{DecodeLimits, decode};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::prompt::{images, messages_from_value};
use fine_r1_core::recognizer::{CheckpointFiles, Prepared, Processor, Recognizer};
use fine_r1_core::weights::{Loader, Precision, ShardIndex};
use image::RgbImage;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Everything in a checkpoint's folder but the weights.
///
/// # Panics
/// A file that every checkpoint has is absent.
#[must_use]
pub fn checkpoint_files(folder: &Path) -> CheckpointFiles {
    let optional = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let required =
        |name: &str| optional(name).unwrap_or_else(|| panic!("{}/{name} is absent", folder.display()));
    CheckpointFiles {
        config: required("config.json"),
        generation: optional("generation_config.json"),
        preprocessor: optional("preprocessor_config.json"),
        processor: optional("processor_config.json"),
        tokenizer: required("tokenizer.json").into_bytes(),
        tokenizer_config: optional("tokenizer_config.json"),
        template_jinja: optional("chat_template.jinja"),
        template_json: optional("chat_template.json"),
    }
}

/// A golden checkpoint with its weights raised to f32.
#[must_use]
pub fn load(checkpoint: &str) -> Recognizer {
    load_folder(&golden("checkpoints").join(checkpoint), Some(Precision::F32))
}

/// A checkpoint's folder; `None` keeps the precision of the files.
///
/// # Panics
/// The checkpoint is incomplete or damaged.
#[must_use]
pub fn load_folder(folder: &Path, precision: Option<Precision>) -> Recognizer {
    let processor = Processor::new(&checkpoint_files(folder)).expect("a usable checkpoint");
    let files = match fs::read_to_string(folder.join(ShardIndex::FILE)) {
        Ok(index) => ShardIndex::from_json(&index).expect("a usable index").files(),
        Err(_) => vec![ShardIndex::SINGLE.to_owned()],
    };
    let mut loader = Loader::new(VisionLanguageModel::new(processor.config(), &Device::flex()), precision);
    for file in files {
        let bytes = fs::read(folder.join(&file)).expect("a weight file");
        loader.add(&file, &bytes).expect("a sound weight file");
    }
    let (model, report) = loader.finish().expect("all weights");
    assert!(report.odd.is_empty(), "{}: odd tensors {:?}", folder.display(), report.odd);
    Recognizer::new(processor, model)
}

/// A picture of `golden/images`.
///
/// # Panics
/// It is absent or damaged.
#[must_use]
pub fn open_image(file: &str) -> RgbImage {
    let bytes = fs::read(golden("images").join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    decode(&bytes, &DecodeLimits::default()).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The pictures that messages name, in order.
///
/// # Panics
/// The messages are malformed.
#[must_use]
pub fn photos(messages: &Value) -> Vec<RgbImage> {
    let messages = messages_from_value(messages).expect("well-formed messages");
    images(&messages).map(open_image).collect()
}

/// Messages and the pictures that they name as a prompt.
///
/// # Panics
/// The messages are malformed.
#[must_use]
pub fn prepare(recognizer: &Recognizer, messages: &Value) -> Prepared {
    let parsed = messages_from_value(messages).expect("well-formed messages");
    recognizer.processor().prepare(&parsed, &photos(messages)).expect("a usable conversation")
}
