//! A checkpoint on this machine as teacher: the same core that `recognize` runs.

use super::{Question, Reply, Teacher, TeacherError, Tokens};
use crate::checkpoint;
use crate::commands::read_photo;
use crate::device::{self, DeviceChoice};
use anyhow::{Context, Result, anyhow};
use fine_r1_core::generate::{SamplingOptions, StopReason};
use fine_r1_core::prompt::{Message, Part};
use fine_r1_core::recognizer::{AnswerOptions, Recognizer, RecognizerError};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// One question after the other; a product of matrices already uses all of a device.
#[derive(Debug)]
pub struct LocalTeacher {
    recognizer: Mutex<Recognizer>,
    name: String,
}

impl LocalTeacher {
    /// Loads a checkpoint's folder, or the embedded model where there is none.
    ///
    /// # Errors
    /// The checkpoint is incomplete or damaged, or this build lacks the device.
    pub fn load(folder: Option<&Path>, device: DeviceChoice) -> Result<Self> {
        let recognizer = checkpoint::load(folder, &device::open(device)?)?;
        let name = match folder {
            // The folder's place is no part of the name: a moved checkpoint gives the same answers.
            Some(folder) => {
                let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
                full.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
            }
            None => checkpoint::EMBEDDED.to_owned(),
        };
        Ok(Self { recognizer: Mutex::new(recognizer), name: format!("local {name}") })
    }
}

impl Teacher for LocalTeacher {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn ask(&self, question: &Question) -> Result<Reply, TeacherError> {
        let recognizer = self.recognizer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(answer(&recognizer, question)
            .with_context(|| format!("asking about {}", question.image.display()))?)
    }
}

fn answer(recognizer: &Recognizer, question: &Question) -> Result<Reply> {
    let explain = |error: RecognizerError| anyhow!("{error}\nhint: {}", error.hint());
    let photo = read_photo(&question.image)?;
    let name = question.image.display().to_string();
    let messages = [Message::user([Part::image(&name), Part::text(question.prompt.clone())])];
    let prepared = recognizer.processor().prepare(&messages, &[photo]).map_err(explain)?;
    // A checkpoint's own limits (Qwen's keep the likeliest token alone) would make every attempt the same.
    let checkpoint = SamplingOptions::from_checkpoint(recognizer.processor().generation());
    let sampling = SamplingOptions {
        temperature: question.temperature,
        seed: question.seed,
        repetition_penalty: checkpoint.repetition_penalty,
        ..SamplingOptions::default()
    };
    let options =
        AnswerOptions { sampling, max_new_tokens: question.max_new_tokens, stop_strings: Vec::new() };
    let mut answer = recognizer.answer(&prepared, &options).map_err(explain)?;
    while pollster::block_on(answer.next()).map_err(explain)?.is_some() {}
    let outcome = answer.finish();
    Ok(Reply {
        text: outcome.text,
        complete: outcome.stop != StopReason::Length,
        tokens: Tokens {
            prompt: prepared.prompt.ids.len() as u64,
            completion: outcome.token_ids.len() as u64,
        },
    })
}
