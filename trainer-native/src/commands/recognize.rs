//! `recognize`: thought, then the answer.

use crate::checkpoint;
use crate::cli::{DecodingArgs, RecognizeArgs};
use crate::device;
use anyhow::{Context, Result, anyhow, bail};
use fine_r1_core::config::GenerationConfig;
use fine_r1_core::generate::{SamplingOptions, StopReason};
use fine_r1_core::image::{DecodeLimits, decode};
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, ask};
use fine_r1_core::prompt::{Message, image_count, images, parse_messages};
use fine_r1_core::reasoning::ReasoningEvent;
use fine_r1_core::recognizer::{AnswerOptions, Outcome, Prepared, Recognizer, RecognizerError};
use image::RgbImage;
use serde::Serialize;
use std::fmt::Display;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

/// The object that `--json` prints, one a photo.
#[derive(Debug, Serialize)]
struct Record<'run> {
    image: Option<String>,
    thinking: &'run str,
    answer: &'run str,
    well_formed: bool,
    text: &'run str,
    token_ids: &'run [u32],
    prompt_tokens: usize,
    new_tokens: usize,
    stop_reason: StopReason,
    prefill_secs: f64,
    tokens_per_sec: f64,
    model: String,
    device: &'run str,
}

/// Recognises photos one after another.
///
/// # Errors
/// Checkpoint, messages or photos. All photos are looked at before the first is recognised.
pub fn run(arguments: &RecognizeArgs) -> Result<()> {
    let conversations = read_conversations(arguments)?;
    let device = device::open(arguments.device)?;
    let recognizer = checkpoint::load(arguments.model.as_deref(), &device)?;
    let options = options(&arguments.decoding, recognizer.processor().generation());
    let model = arguments.model.as_ref().map_or(checkpoint::EMBEDDED.to_owned(), |path| path.display().to_string());
    let several = conversations.len() > 1;
    for (name, (messages, photos)) in &conversations {
        let at = name.as_deref().unwrap_or("messages");
        let prepared = recognizer.processor().prepare(messages, photos).map_err(|error| explain(&at, &error))?;
        if several && !arguments.json {
            println!("{at}");
        }
        let told = tell(&recognizer, &prepared, &options, arguments.json).map_err(|error| error.context(at.to_owned()))?;
        if arguments.json {
            let outcome = &told.outcome;
            let record = Record {
                image: name.clone(),
                thinking: &outcome.transcript.thinking,
                answer: &outcome.transcript.answer,
                well_formed: outcome.transcript.well_formed,
                text: &outcome.text,
                token_ids: &outcome.token_ids,
                prompt_tokens: prepared.prompt.ids.len(),
                new_tokens: outcome.token_ids.len(),
                stop_reason: outcome.stop,
                prefill_secs: told.prefill_secs,
                tokens_per_sec: told.tokens_per_sec,
                model: model.clone(),
                device: device.name,
            };
            writeln!(stdout(), "{}", serde_json::to_string(&record)?)?;
        }
    }
    Ok(())
}

/// A photo's or file's name, and what is asked about it.
type Named = (Option<String>, (Vec<Message>, Vec<RgbImage>));

fn read_conversations(arguments: &RecognizeArgs) -> Result<Vec<Named>> {
    if let Some(path) = &arguments.messages {
        let (messages, photos) = read_conversation(path)?;
        let first = images(&messages).next().map(str::to_owned);
        return Ok(vec![(first, (messages, photos))]);
    }
    let candidates: Vec<String> =
        arguments.candidates.iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    let question = arguments.question.as_deref().unwrap_or(DEFAULT_QUESTION);
    arguments
        .photos
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let photo = read_photo(path)?;
            Ok((Some(name.clone()), (ask(&name, question, &candidates), vec![photo])))
        })
        .collect()
}

/// Reads chat messages and their images, whose paths are relative to the file.
///
/// # Errors
/// A file is missing or malformed.
pub fn read_conversation(path: &Path) -> Result<(Vec<Message>, Vec<RgbImage>)> {
    let text = checkpoint::read_text(path)?;
    let messages = parse_messages(&text).map_err(|error| {
        anyhow!("{}: {error}\nhint: {}", path.display(), error.hint())
    })?;
    if messages.is_empty() {
        bail!("{} has no messages\nhint: give at least one message of the user", path.display());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let photos = images(&messages).map(|image| read_photo(&folder.join(image))).collect::<Result<Vec<_>>>()?;
    if photos.len() < image_count(&messages) {
        bail!("{}: an image part has no path\nhint: write {{\"type\": \"image\", \"image\": \"photo.jpg\"}}", path.display());
    }
    Ok((messages, photos))
}

/// Decodes a photo.
///
/// # Errors
/// It is missing, no image, damaged, or too large.
pub fn read_photo(path: &Path) -> Result<RgbImage> {
    let limits = DecodeLimits::default();
    let size = fs::metadata(path).map(|facts| facts.len()).with_context(|| {
        format!("cannot read {}\nhint: check the path", path.display())
    })?;
    if path.is_dir() {
        bail!("{} is a folder\nhint: name the photos themselves", path.display());
    }
    if size > limits.max_bytes as u64 {
        bail!("{} has {size} bytes, at most {} are read\nhint: save it smaller", path.display(), limits.max_bytes);
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    decode(&bytes, &limits).map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))
}

/// Flags over the checkpoint's defaults.
#[must_use]
pub fn options(arguments: &DecodingArgs, generation: &GenerationConfig) -> AnswerOptions {
    let defaults = SamplingOptions::from_checkpoint(generation);
    let sampling = SamplingOptions {
        temperature: arguments.temperature.unwrap_or(defaults.temperature),
        top_p: arguments.top_p.unwrap_or(defaults.top_p),
        repetition_penalty: arguments.repetition_penalty.unwrap_or(defaults.repetition_penalty),
        seed: arguments.seed,
        ..defaults
    };
    AnswerOptions { sampling, max_new_tokens: arguments.max_new_tokens, stop_strings: Vec::new() }
}

/// Puts the place and the remedy around an error of the core.
pub fn explain(at: &dyn Display, error: &RecognizerError) -> anyhow::Error {
    anyhow!("{at}: {error}\nhint: {}", error.hint())
}

struct Told {
    outcome: Outcome,
    prefill_secs: f64,
    tokens_per_sec: f64,
}

fn tell(recognizer: &Recognizer, prepared: &Prepared, options: &AnswerOptions, silent: bool) -> Result<Told> {
    let to_error = |error: RecognizerError| anyhow!("{error}\nhint: {}", error.hint());
    let begun = Instant::now();
    let mut answer = recognizer.answer(prepared, options).map_err(to_error)?;
    let mut prefill_secs = None;
    let mut teller = Teller::default();
    while let Some(events) = pollster::block_on(answer.next()).map_err(to_error)? {
        prefill_secs.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        if !silent {
            teller.tell(&events)?;
        }
    }
    let prefill_secs = prefill_secs.unwrap_or_else(|| begun.elapsed().as_secs_f64());
    let decode_secs = begun.elapsed().as_secs_f64() - prefill_secs;
    let outcome = answer.finish();
    if !silent {
        teller.tell(&outcome.last_events)?;
        teller.close(&outcome)?;
    }
    let decoded = outcome.token_ids.len().saturating_sub(1) as f64;
    let tokens_per_sec = if decode_secs > 0.0 { decoded / decode_secs } else { 0.0 };
    Ok(Told { outcome, prefill_secs, tokens_per_sec })
}

/// Writes thought and answer to stdout as they come.
#[derive(Default)]
struct Teller {
    answering: bool,
}

impl Teller {
    fn tell(&mut self, events: &[ReasoningEvent]) -> Result<()> {
        let mut out = stdout();
        for event in events {
            match event {
                ReasoningEvent::Thinking { text } => write!(out, "{text}")?,
                ReasoningEvent::Answering { .. } if self.answering => {}
                ReasoningEvent::Answering { .. } => self.answering = true,
            }
        }
        Ok(out.flush()?)
    }

    /// The answer stands on the last line, whether or not the tags were right.
    fn close(&self, outcome: &Outcome) -> Result<()> {
        let mut out = stdout();
        if !outcome.transcript.thinking.is_empty() {
            writeln!(out)?;
        }
        writeln!(out, "answer: {}", outcome.transcript.answer)?;
        Ok(out.flush()?)
    }
}
