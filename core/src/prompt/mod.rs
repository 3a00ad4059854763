//! From a conversation to the token ids that the model reads, and from its token ids back to text.
//!
//! ```text
//! messages -> template -> text with one image token per image
//!          -> placeholders -> one image token per merged patch
//!          -> tokenizer -> ids … ids -> detokenizer -> text
//! ```
//!
//! Follows the processor of the published checkpoints:
//! <https://github.com/huggingface/transformers/blob/e68dd27a9fee2b856472c856be0a828f72678c27/src/transformers/models/qwen2_5_vl/processing_qwen2_5_vl.py>.

mod charsmap;
mod detokenizer;
mod error;
mod messages;
mod placeholders;
mod python;
pub mod question;
mod template;
mod tokenizer;
mod tokenizer_file;

pub use detokenizer::Detokenizer;
pub use error::PromptError;
pub use messages::{Content, Message, Part, Role, image_count, images, messages_from_value, parse_messages};
pub use placeholders::expand_placeholders;
pub use python::dumps;
pub use template::{ChatTemplate, RenderOptions};
pub use tokenizer::Tokenizer;
