//! The JSON files of a checkpoint, field for field, and the presets that `init` starts from.
//!
//! Two layouts of `config.json` are read: the flat one of the published Qwen2-VL and Qwen2.5-VL
//! checkpoints, and the nested one (`text_config`, `vision_config`) that newer versions of
//! transformers write. The flat one is written.

mod error;
pub(crate) mod fields;
mod generation;
pub mod manifest;
mod model;
mod preprocessor;
mod presets;
mod rope;
mod special_tokens;
mod text;
mod vision;

pub use error::ConfigError;
pub use generation::{GenerationConfig, TokenIdList};
pub use manifest::{Manifest, ManifestFile};
pub use model::{Architecture, ModelConfig, TokenIds};
pub use preprocessor::PreprocessorConfig;
pub use presets::{PRESETS, Preset, preset};
pub use rope::{RopeKind, RopeScaling};
pub use special_tokens::special_tokens;
pub use text::TextConfig;
pub use vision::VisionConfig;
