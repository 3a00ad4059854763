//! Which tokens of a conversation the model is trained to write.
//!
//! As LlamaFactory's `qwen2_vl` template sets them: the assistant's words, its end token and the newline
//! after it. <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/processor/supervised.py>.
//! Where we differ: a conversation is never cut at `cutoff_len`; [`super::Overlong`] says what becomes of it.

use crate::dataset::Conversation;
use anyhow::{Result, anyhow, bail};
use fine_r1_core::image::Grid;
use fine_r1_core::prompt::Role;
use fine_r1_core::recognizer::{Processor, RecognizerError};

/// What is trained besides, or instead of, every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LabelRules {
    /// Only the last answer.
    pub mask_history: bool,
    /// Questions, system messages and the places of images too.
    pub train_on_prompt: bool,
}

/// A conversation as ids; placeholders are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids.
    pub ids: Vec<u32>,
    /// For every id, whether the model is trained to write it.
    pub is_label: Vec<bool>,
}

/// Renders a conversation through the checkpoint's template and marks what is trained.
///
/// # Errors
/// The template refuses the conversation, does not end an assistant's turn where the next begins, or
/// images and places differ in number.
pub fn encode(
    processor: &Processor,
    conversation: &Conversation,
    grids: &[Grid],
    rules: LabelRules,
) -> Result<Encoded> {
    let explain = |error: RecognizerError| anyhow!("{error}\nhint: {}", error.hint());
    let messages = &conversation.messages;
    let mut encoded = Encoded::default();
    let mut rendered = String::new();
    let mut grids = grids;
    let mut push = |piece: &str, is_trained: bool| -> Result<()> {
        let places = piece.matches("<|image_pad|>").count().min(grids.len());
        let (here, rest) = grids.split_at(places);
        grids = rest;
        let ids = processor.encode(piece, here).map_err(explain)?;
        encoded.is_label.extend(std::iter::repeat_n(is_trained, ids.len()));
        encoded.ids.extend(ids);
        Ok(())
    };
    let last = messages.iter().rposition(|message| message.role == Role::Assistant);
    for (index, message) in messages.iter().enumerate() {
        if message.role != Role::Assistant {
            continue;
        }
        let before = processor.render(&messages[..index], true).map_err(explain)?;
        let after = processor.render(&messages[..=index], false).map_err(explain)?;
        let (Some(asked), Some(said)) = (before.strip_prefix(&rendered), after.strip_prefix(&before)) else {
            bail!(
                "the chat template does not write turns one after another\nhint: use the template of a Qwen2-VL or \
                 Qwen2.5-VL checkpoint"
            );
        };
        push(asked, rules.train_on_prompt)?;
        push(said, !rules.mask_history || Some(index) == last)?;
        rendered = after;
    }
    if encoded.ids.is_empty() {
        bail!(
            "the conversation has no assistant message to train on\nhint: add an answer, or leave the row out"
        );
    }
    Ok(encoded)
}
