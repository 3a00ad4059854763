//! Asks a vision-language model the questions that are not answered yet, several photos at a time.

use super::confusion::softmax;
use super::photos::shown_photo;
use super::settings::draw;
use super::{DataSet, Output, Prompts, Record, Settings, Task};
use anyhow::{Result, anyhow};
use fine_r1_core::generate::{SamplingOptions, Session, SessionOptions, StopRules};
use fine_r1_core::model::Prompt;
use fine_r1_core::prompt::{Message, Part};
use fine_r1_core::reasoning::tags::{ANSWER_CLOSE, ANSWER_OPEN};
use fine_r1_core::recognizer::{Prepared, Recognizer, RecognizerError};

/// Settings, and the words that go with them.
#[derive(Debug, Clone)]
pub struct Question {
    /// What fixes the answers.
    pub settings: Settings,
    /// How it is asked.
    pub prompts: Prompts,
}

/// Answers some rows of a set; they are decoded together.
///
/// # Errors
/// A photo cannot be read, or the device failed.
pub fn ask(
    recognizer: &Recognizer,
    set: &DataSet,
    question: &Question,
    rows: &[usize],
) -> Result<Vec<Record>> {
    let settings = &question.settings;
    let prompts =
        rows.iter().map(|row| prompt(recognizer, set, question, *row)).collect::<Result<Vec<_>>>()?;
    let outputs = if settings.samples == 1 {
        decode(recognizer, &prompts.iter().collect::<Vec<_>>(), settings, settings.seed)?
    } else {
        // A row's samples must not depend on who is asked beside it.
        let mut outputs = Vec::new();
        for (prompt, row) in prompts.iter().zip(rows) {
            outputs.extend(decode(recognizer, &[prompt], settings, draw(settings.seed, *row))?);
        }
        outputs
    };
    let id = settings.id();
    let mut records = Vec::with_capacity(rows.len());
    for ((number, prompt), outputs) in rows.iter().zip(prompts).zip(outputs.chunks(settings.samples)) {
        let shown = settings.shown(set, *number);
        let mut record = Record::written(settings, &id, &set.rows[*number], *number, outputs.to_vec());
        record.shown = (shown != *number).then(|| set.rows[shown].image.clone());
        if settings.scores_options {
            record.shares = option_shares(recognizer, prompt, settings, &record)?;
        }
        records.push(record);
    }
    Ok(records)
}

/// How the probabilities of all options are shared, each written in the answer's place behind the model's
/// own thought; nothing where the model never came to an answer.
fn option_shares(
    recognizer: &Recognizer,
    prompt: Prompt,
    settings: &Settings,
    record: &Record,
) -> Result<Vec<f64>> {
    let output = &record.samples[0].text;
    let (before, after) = match (output.split_once(ANSWER_OPEN), settings.asks_for_answer_tags()) {
        (Some((thought, _)), _) => (format!("{thought}{ANSWER_OPEN}"), ANSWER_CLOSE.to_owned()),
        (None, true) => return Ok(Vec::new()),
        // A bare name ends where the model would stop, so that no name is the beginning of another.
        (None, false) => {
            let processor = recognizer.processor();
            let ends: Vec<u32> = processor.stop_ids().into_iter().take(1).collect();
            let end = processor.tokenizer().decode(&ends, false);
            (String::new(), end.map_err(|error| anyhow!("{error}\nhint: {}", error.hint()))?)
        }
    };
    let prepared = Prepared { text: String::new(), prompt };
    let mut scores = Vec::with_capacity(record.options.len());
    for option in &record.options {
        let continuation = format!("{before}{option}{after}");
        let score = pollster::block_on(recognizer.score(&prepared, &continuation))
            .map_err(|error| anyhow!("{error}\nhint: {}", error.hint()))?;
        scores.push(score.log_probs.iter().map(|log| f64::from(*log)).sum::<f64>());
    }
    Ok(softmax(&scores))
}

fn prompt(recognizer: &Recognizer, set: &DataSet, question: &Question, number: usize) -> Result<Prompt> {
    let (settings, row) = (&question.settings, &set.rows[number]);
    let (path, photo) = shown_photo(set, settings, number)?;
    let options = settings.options(row, number);
    let text = question.prompts.text(settings.task, &row.question, &options);
    let name = path.display().to_string();
    let messages = [Message::user([Part::image(&name), Part::text(text)])];
    let prepared = recognizer
        .processor()
        .prepare(&messages, &[photo])
        .map_err(|error| anyhow!("{name}: {error}\nhint: {}", error.hint()))?;
    Ok(prepared.prompt)
}

/// As many outputs to every prompt as settings ask for, prompt by prompt.
fn decode(
    recognizer: &Recognizer,
    prompts: &[&Prompt],
    settings: &Settings,
    seed: u64,
) -> Result<Vec<Output>> {
    let failed = |error| {
        let error = RecognizerError::Generate(error);
        anyhow!("{error}\nhint: {}", error.hint())
    };
    let processor = recognizer.processor();
    let sampling = SamplingOptions {
        temperature: settings.temperature,
        top_p: settings.top_p,
        repetition_penalty: settings.repetition_penalty,
        seed,
        ..SamplingOptions::default()
    };
    let options = SessionOptions {
        sampling,
        stop: StopRules {
            ids: processor.stop_ids(),
            strings: Vec::new(),
            max_new_tokens: settings.max_new_tokens,
        },
        answers: settings.samples,
    };
    let mut session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), prompts, options)
            .map_err(failed)?;
    let empty = Output { text: String::new(), new_tokens: 0, stop: None };
    let mut outputs = vec![empty; prompts.len() * settings.samples];
    while !session.is_finished() {
        for step in pollster::block_on(session.step()).map_err(failed)? {
            let output = &mut outputs[step.row];
            output.text.push_str(&step.text);
            output.new_tokens += 1;
            output.stop = step.stop;
        }
    }
    Ok(outputs)
}

/// Whether a set can be asked a task at all.
#[must_use]
pub fn can_ask(set: &DataSet, task: Task) -> bool {
    task == Task::OpenWorld || set.rows.iter().all(|row| !row.options.is_empty())
}
