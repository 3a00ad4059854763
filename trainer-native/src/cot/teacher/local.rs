//! A checkpoint on this machine as teacher: the same core that `recognize` runs.

use super::{Question, Reply, Teacher, TeacherError, Tokens};
use crate::checkpoint;
use crate::commands::read_photo;
use crate::device::{self, DeviceChoice};
use anyhow::{Context, Result, anyhow};
use fine_r1_core::generate::{SamplingOptions, StopReason};
use fine_r1_core::prompt::{Message, Part};
use fine_r1_core::recognizer::{AnswerOptions, Recognizer, RecognizerError};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Bytes at either end of a weight file that tell it from others.
const FINGERPRINT_BYTES: usize = 1 << 20;

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
            Some(folder) => format!("local {}", fingerprint(folder)?),
            None => format!("local {} {}", checkpoint::EMBEDDED, env!("CARGO_PKG_VERSION")),
        };
        Ok(Self { recognizer: Mutex::new(recognizer), name })
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

/// Tells checkpoints apart wherever they lie: sizes, beginnings and ends of the weight files. Training changes all
/// weights, so the ends of a file are enough, and gigabytes need not be read twice.
fn fingerprint(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in checkpoint::weight_files(folder)? {
        let bytes = checkpoint::map(folder, &name)?;
        let end = bytes.len().min(FINGERPRINT_BYTES);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes[..end]);
        hash.update(&bytes[bytes.len() - end..]);
    }
    Ok(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
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
