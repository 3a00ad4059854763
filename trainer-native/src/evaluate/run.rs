//! Asks the model every question, several at a time.

use super::Row;
use crate::commands::read_photo;
use crate::progress::clock;
use anyhow::{Result, anyhow};
use fine_r1_core::generate::{SamplingOptions, Session, SessionOptions, StopRules};
use fine_r1_core::model::Prompt;
use fine_r1_core::prompt::question::{INSTRUCTION, question_text};
use fine_r1_core::prompt::{Message, Part};
use fine_r1_core::reasoning::Transcript;
use fine_r1_core::recognizer::{Recognizer, RecognizerError};
use image::{Rgb, RgbImage};
use std::time::Instant;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Choose among the row's options, shuffled.
    ClosedWorld,
    /// Name it.
    OpenWorld,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The photo.
    Photo,
    /// A grey picture of the photo's size.
    Blank,
}

/// How a file is measured.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// What is asked.
    pub task: Task,
    /// What is shown.
    pub look: Look,
    /// Whether a chain of thought is asked for.
    pub with_thought: bool,
    /// Shuffles the options.
    pub seed: u64,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers that are decoded together.
    pub batch: usize,
}

/// Counts of one measurement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Questions asked.
    pub rows: usize,
    /// Answers that are the true name.
    pub exact: usize,
    /// Answers that contain it.
    pub substring: usize,
    /// Answers in the form `<think>…</think><answer>…</answer>`.
    pub well_formed: usize,
    /// Tokens of all answers.
    pub new_tokens: usize,
}

/// Asks every question greedily; `note` hears each answer.
///
/// # Errors
/// A photo cannot be read, or the device failed.
pub fn measure(
    recognizer: &Recognizer,
    rows: &[Row],
    setting: Setting,
    mut note: impl FnMut(&Row, &Transcript),
) -> Result<Tally> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    for (chunk_number, chunk) in rows.chunks(setting.batch.max(1)).enumerate() {
        let prompts = chunk
            .iter()
            .enumerate()
            .map(|(offset, row)| {
                prompt(recognizer, row, chunk_number * setting.batch.max(1) + offset, setting)
            })
            .collect::<Result<Vec<_>>>()?;
        let answers = answer_all(recognizer, &prompts, setting.max_new_tokens)?;
        for (row, (text, tokens)) in chunk.iter().zip(answers) {
            let transcript = Transcript::parse(&text);
            tally.rows += 1;
            tally.exact += usize::from(row.is_exact(&transcript.answer));
            tally.substring += usize::from(row.is_substring(&transcript.answer));
            tally.well_formed += usize::from(transcript.well_formed);
            tally.new_tokens += tokens;
            note(row, &transcript);
        }
        let left = begun.elapsed().mul_f64((rows.len() - tally.rows) as f64 / tally.rows as f64);
        eprint!("\r  {}/{}  {} right  ETA {}   ", tally.rows, rows.len(), tally.exact, clock(left));
    }
    eprintln!();
    Ok(tally)
}

fn prompt(recognizer: &Recognizer, row: &Row, number: usize, setting: Setting) -> Result<Prompt> {
    let photo = read_photo(&row.image_path)?;
    let photo = match setting.look {
        Look::Photo => photo,
        Look::Blank => RgbImage::from_pixel(photo.width(), photo.height(), Rgb([127; 3])),
    };
    let options = match setting.task {
        Task::ClosedWorld => row.shuffled(setting.seed, number),
        Task::OpenWorld => Vec::new(),
    };
    let text = question_text(&row.question, &options, setting.with_thought.then_some(INSTRUCTION));
    let name = row.image_path.display().to_string();
    let messages = [Message::user([Part::image(&name), Part::text(text)])];
    let prepared = recognizer
        .processor()
        .prepare(&messages, &[photo])
        .map_err(|error| anyhow!("{name}: {error}\nhint: {}", error.hint()))?;
    Ok(prepared.prompt)
}

/// Text and number of tokens of the answers to some prompts, decoded together.
fn answer_all(
    recognizer: &Recognizer,
    prompts: &[Prompt],
    max_new_tokens: usize,
) -> Result<Vec<(String, usize)>> {
    let failed = |error| {
        let error = RecognizerError::Generate(error);
        anyhow!("{error}\nhint: {}", error.hint())
    };
    let processor = recognizer.processor();
    let options = SessionOptions {
        sampling: SamplingOptions::default(),
        stop: StopRules { ids: processor.stop_ids(), strings: Vec::new(), max_new_tokens },
        answers: 1,
    };
    let borrowed: Vec<&Prompt> = prompts.iter().collect();
    let mut session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), &borrowed, options)
            .map_err(failed)?;
    let mut answers = vec![(String::new(), 0); prompts.len()];
    while !session.is_finished() {
        for step in pollster::block_on(session.step()).map_err(failed)? {
            answers[step.row].0.push_str(&step.text);
            answers[step.row].1 += 1;
        }
    }
    Ok(answers)
}
