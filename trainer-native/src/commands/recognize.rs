//! `recognize`: thought, then the answer.

use crate::adapter::load_recognizer;
use crate::bounded::read_image;
use crate::checkpoint;
use crate::cli::{DecodingArgs, RecognizeArgs};
use crate::device;
use anyhow::{Result, anyhow, bail};
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
use std::io::{self, StdoutLock, Write, stdout};
use std::path::Path;
use std::time::Instant;

/// Most tokens of an answer where neither flag nor checkpoint says.
const DEFAULT_NEW_TOKENS: usize = 512;

/// The object that `--json` prints, one a photo.
#[derive(Debug, Serialize)]
struct Record<'run> {
    image: Option<&'run str>,
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
    let recognizer = load_recognizer(arguments.model.as_deref(), arguments.adapter.as_deref(), &device)?;
    let options = options(&arguments.decoding, recognizer.processor().generation());
    tell_unheeded(&arguments.decoding, recognizer.processor().generation(), &options);
    let model =
        arguments.model.as_ref().map_or(checkpoint::EMBEDDED.to_owned(), |path| path.display().to_string());
    let prepare = |asked: &Asked| {
        let prepared = recognizer.processor().prepare(&asked.messages, &asked.photos);
        prepared.map_err(|error| explain(&asked.at, &error))
    };
    let several = conversations.len() > 1;
    if several {
        // Prepared photos are large: each is prepared again when its turn comes.
        conversations.iter().try_for_each(|asked| prepare(asked).map(drop))?;
    }
    let mut out = stdout().lock();
    for asked in &conversations {
        let prepared = prepare(asked)?;
        if several && !arguments.json {
            writeln!(out, "{}", asked.at)?;
        }
        let listener = (!arguments.json).then_some(&mut out);
        let told = tell(&recognizer, &prepared, &options, listener)
            .map_err(|error| error.context(asked.at.clone()))?;
        if arguments.json {
            let outcome = &told.outcome;
            let record = Record {
                image: asked.image.as_deref(),
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
            writeln!(out, "{}", serde_json::to_string(&record)?)?;
        }
    }
    Ok(())
}

/// A conversation that is to be answered.
struct Asked {
    /// The photo or the file of messages, for errors and headlines.
    at: String,
    /// The first image.
    image: Option<String>,
    messages: Vec<Message>,
    photos: Vec<RgbImage>,
}

fn read_conversations(arguments: &RecognizeArgs) -> Result<Vec<Asked>> {
    if !arguments.messages.is_empty() {
        let asked = arguments.messages.iter().map(|path| {
            let (messages, photos) = read_conversation(path)?;
            let image = images(&messages).next().map(str::to_owned);
            Ok(Asked { at: path.display().to_string(), image, messages, photos })
        });
        return asked.collect();
    }
    let candidates: Vec<String> = arguments
        .candidates
        .iter()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    let question = arguments.question.as_deref().unwrap_or(DEFAULT_QUESTION);
    arguments
        .photos
        .iter()
        .map(|path| {
            let name = path.display().to_string();
            let photos = vec![read_photo(path)?];
            let messages = ask(&name, question, &candidates);
            Ok(Asked { at: name.clone(), image: Some(name), messages, photos })
        })
        .collect()
}

/// Reads chat messages and their images, whose paths are relative to the file.
///
/// # Errors
/// A file is missing or malformed.
pub fn read_conversation(path: &Path) -> Result<(Vec<Message>, Vec<RgbImage>)> {
    let text = checkpoint::read_text(path)?;
    let messages = parse_messages(&text)
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))?;
    if messages.is_empty() {
        bail!("{} has no messages\nhint: give at least one message of the user", path.display());
    }
    for image in images(&messages) {
        refuse_address(path, image)?;
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let photos = images(&messages)
        .map(|image| read_photo(&folder.join(plain_path(image))))
        .collect::<Result<Vec<_>>>()?;
    if photos.len() < image_count(&messages) {
        bail!(
            "{}: an image part has no path\nhint: write {{\"type\": \"image\", \"image\": \"photo.jpg\"}}",
            path.display()
        );
    }
    Ok((messages, photos))
}

/// A path without the `file://` that Qwen's own examples write before it.
fn plain_path(image: &str) -> &str {
    image.strip_prefix("file://").unwrap_or(image)
}

/// Image parts name files: what cannot be one is said by the file of messages that names it.
fn refuse_address(at: &Path, image: &str) -> Result<()> {
    /// Longest part of an address in an error; `data:` URLs are whole files.
    const SHOWN_CHARS: usize = 60;

    if image.is_empty() {
        bail!("{}: an image part has an empty path\nhint: write the path of a photo", at.display());
    }
    if ["http://", "https://", "ftp://", "data:"].iter().any(|scheme| image.starts_with(scheme)) {
        let shown: String = image.chars().take(SHOWN_CHARS).collect();
        bail!(
            "{}: an image part names the address {shown}, and nothing is fetched\n\
             hint: save the photo as a file and write its path",
            at.display()
        );
    }
    Ok(())
}

/// Decodes a photo.
///
/// # Errors
/// It is missing, no image, damaged, or too large.
pub fn read_photo(path: &Path) -> Result<RgbImage> {
    let bytes = read_image(path)?;
    decode(&bytes, &DecodeLimits::default())
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))
}

/// Flags over the checkpoint's defaults.
#[must_use]
pub fn options(arguments: &DecodingArgs, generation: &GenerationConfig) -> AnswerOptions {
    let defaults = SamplingOptions::from_checkpoint(generation);
    let sampling = SamplingOptions {
        temperature: arguments.temperature.unwrap_or(defaults.temperature),
        top_p: arguments.top_p.unwrap_or(defaults.top_p),
        repetition_penalty: arguments.repetition_penalty.unwrap_or(defaults.repetition_penalty),
        seed: arguments.seed.unwrap_or_default(),
        ..defaults
    };
    AnswerOptions {
        sampling,
        max_new_tokens: arguments.max_new_tokens.or(generation.max_new_tokens).unwrap_or(DEFAULT_NEW_TOKENS),
        stop_strings: generation.stop_strings.clone(),
    }
}

/// Says on stderr what was asked for, by the checkpoint or on the command line, and changes nothing.
fn tell_unheeded(arguments: &DecodingArgs, generation: &GenerationConfig, options: &AnswerOptions) {
    if !generation.ignored.is_empty() {
        let fields = generation.ignored.join(", ");
        eprintln!("warning: generation_config.json sets {fields}, which this program does not heed");
    }
    let typed = [("--top-p", arguments.top_p.is_some()), ("--seed", arguments.seed.is_some())];
    let typed: Vec<&str> = typed.iter().filter(|(_, is_typed)| *is_typed).map(|(flag, _)| *flag).collect();
    if options.sampling.temperature == 0.0 && !typed.is_empty() {
        eprintln!(
            "note: without --temperature above 0 the likeliest token is taken: {} unused",
            typed.join(", ")
        );
    }
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

/// Answers; the listener, where there is one, gets thought and answer as they come.
fn tell(
    recognizer: &Recognizer,
    prepared: &Prepared,
    options: &AnswerOptions,
    listener: Option<&mut StdoutLock>,
) -> Result<Told> {
    let to_error = |error: RecognizerError| anyhow!("{error}\nhint: {}", error.hint());
    let begun = Instant::now();
    let mut answer = recognizer.answer(prepared, options).map_err(to_error)?;
    let mut prefill_secs = None;
    let mut teller = listener.map(Teller::new);
    while let Some(events) = pollster::block_on(answer.next()).map_err(to_error)? {
        prefill_secs.get_or_insert_with(|| begun.elapsed().as_secs_f64());
        if let Some(teller) = &mut teller {
            teller.tell(&events)?;
        }
    }
    let prefill_secs = prefill_secs.unwrap_or_else(|| begun.elapsed().as_secs_f64());
    let decode_secs = begun.elapsed().as_secs_f64() - prefill_secs;
    let outcome = answer.finish();
    if let Some(teller) = &mut teller {
        teller.tell(&outcome.last_events)?;
        teller.close(&outcome.transcript.answer)?;
    }
    let decoded = outcome.token_ids.len().saturating_sub(1) as f64;
    let tokens_per_sec = if decode_secs > 0.0 { decoded / decode_secs } else { 0.0 };
    Ok(Told { outcome, prefill_secs, tokens_per_sec })
}

/// Writes the thought as it comes and the answer once it is complete.
struct Teller<Out> {
    out: Out,
    has_begun: bool,
}

impl<Out: Write> Teller<Out> {
    fn new(out: Out) -> Self {
        Self { out, has_begun: false }
    }

    fn tell(&mut self, events: &[ReasoningEvent]) -> io::Result<()> {
        for event in events {
            if let ReasoningEvent::Thinking { text } = event {
                self.has_begun |= !text.is_empty();
                write!(self.out, "{text}")?;
            }
        }
        self.out.flush()
    }

    /// The answer stands on the last line, whether or not the tags were right.
    fn close(&mut self, answer: &str) -> io::Result<()> {
        if self.has_begun {
            writeln!(self.out)?;
        }
        writeln!(self.out, "answer: {answer}")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str], answer: &str) -> String {
        let mut out = Vec::new();
        let mut teller = Teller::new(&mut out);
        for text in texts {
            teller
                .tell(&[ReasoningEvent::Thinking { text: (*text).to_owned() }])
                .expect("a vector takes all");
        }
        teller.tell(&[ReasoningEvent::Answering { text: answer.to_owned() }]).expect("a vector takes all");
        teller.close(answer).expect("a vector takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_answer_has_the_last_line_to_itself() {
        assert_eq!(told(&["Four ", "engines."], "A340"), "Four engines.\nanswer: A340\n");
        assert_eq!(told(&[], "A340"), "answer: A340\n");
        assert_eq!(told(&[""], ""), "answer: \n");
    }
}
