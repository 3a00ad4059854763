//! A conversation, and the ids and labels it becomes.
//!
//! Labels as LlamaFactory's `qwen2_vl` template sets them: the assistant's words, its end token and
//! the newline after it. <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/processor/supervised.py>

use anyhow::{Result, anyhow, bail};
use fine_r1_core::image::Grid;
use fine_r1_core::prompt::{Content, Message, Part, Role};
use fine_r1_core::recognizer::Processor;
use std::path::PathBuf;

/// Stands where a picture goes in the text of a data set.
const IMAGE_TAG: &str = "<image>";

/// One row of a data set.
#[derive(Debug, Clone)]
pub struct Conversation {
    /// Where it stands, for messages: file and row.
    pub source: String,
    /// What was said.
    pub messages: Vec<Message>,
    /// The pictures, in the order of their places.
    pub images: Vec<PathBuf>,
}

/// A conversation as ids; placeholders are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For every id, whether the model is trained to write it.
    pub is_label: Vec<bool>,
}

/// A message's text with `<image>` tags as parts.
#[must_use]
pub fn split_content(text: &str) -> Content {
    if !text.contains(IMAGE_TAG) {
        return Content::Text(text.to_owned());
    }
    let mut parts = Vec::new();
    for (index, piece) in text.split(IMAGE_TAG).enumerate() {
        if index > 0 {
            parts.push(Part::unnamed_image());
        }
        if !piece.is_empty() {
            parts.push(Part::text(piece));
        }
    }
    Content::Parts(parts)
}

/// Renders a conversation through the checkpoint's template and marks what is trained.
///
/// # Errors
/// The template refuses the conversation, does not end an assistant's turn where the next begins, or
/// images and places differ in number.
pub fn encode(processor: &Processor, conversation: &Conversation, grids: &[Grid]) -> Result<Encoded> {
    let context = |error: fine_r1_core::recognizer::RecognizerError| {
        anyhow!("{}: {error}\nhint: {}", conversation.source, error.hint())
    };
    let messages = &conversation.messages;
    let mut encoded = Encoded::default();
    let mut rendered = String::new();
    let mut grids = grids;
    let mut push = |piece: &str, trained: bool| -> Result<()> {
        let places = piece.matches("<|image_pad|>").count().min(grids.len());
        let (here, rest) = grids.split_at(places);
        grids = rest;
        let ids = processor.encode(piece, here).map_err(context)?;
        encoded.is_label.extend(std::iter::repeat_n(trained, ids.len()));
        encoded.ids.extend(ids);
        Ok(())
    };
    for (index, message) in messages.iter().enumerate() {
        if message.role != Role::Assistant {
            continue;
        }
        let before = processor.render(&messages[..index], true).map_err(context)?;
        let after = processor.render(&messages[..=index], false).map_err(context)?;
        let (Some(asked), Some(said)) = (before.strip_prefix(&rendered), after.strip_prefix(&before)) else {
            bail!(
                "{}: the chat template does not write turns one after another\nhint: use the template of a \
                 Qwen2-VL or Qwen2.5-VL checkpoint",
                conversation.source
            );
        };
        push(asked, false)?;
        push(said, true)?;
        rendered = after;
    }
    if encoded.ids.is_empty() {
        bail!("{}: the conversation has no assistant message to train on", conversation.source);
    }
    Ok(encoded)
}
