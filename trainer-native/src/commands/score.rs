//! `score`: how likely a given continuation is.

use crate::adapter::load_recognizer;
use crate::cli::ScoreArgs;
use crate::commands::recognize::{explain, read_conversation};
use crate::device;
use anyhow::Result;
use serde::Serialize;
use std::io::{Write, stdout};

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct ScoreRecord {
    prompt: String,
    prompt_token_ids: Vec<u32>,
    image_grid_thw: Vec<[usize; 3]>,
    position_ids: [Vec<i32>; 3],
    token_ids: Vec<u32>,
    log_probs: Vec<f32>,
}

/// Scores the continuation.
///
/// # Errors
/// Checkpoint, messages or images, or nothing to score.
pub fn run(arguments: &ScoreArgs) -> Result<()> {
    let (messages, photos) = read_conversation(&arguments.messages)?;
    let device = device::open(arguments.device)?;
    let recognizer = load_recognizer(arguments.model.as_deref(), arguments.adapter.as_deref(), &device)?;
    let at = arguments.messages.display();
    let prepared =
        recognizer.processor().prepare(&messages, &photos).map_err(|error| explain(&at, &error))?;
    let score = pollster::block_on(recognizer.score(&prepared, &arguments.continuation))
        .map_err(|error| explain(&at, &error))?;
    let mut out = stdout().lock();
    if !arguments.json {
        let total: f32 = score.log_probs.iter().sum();
        for (id, log_prob) in score.token_ids.iter().zip(&score.log_probs) {
            writeln!(out, "{id}\t{log_prob:.6}")?;
        }
        writeln!(out, "total\t{total:.6}")?;
        return Ok(());
    }
    let prompt = prepared.prompt;
    let record = ScoreRecord {
        prompt: prepared.text,
        prompt_token_ids: prompt.ids,
        image_grid_thw: prompt
            .images
            .iter()
            .map(|image| [image.grid.t, image.grid.h, image.grid.w])
            .collect(),
        position_ids: prompt.positions.axes,
        token_ids: score.token_ids,
        log_probs: score.log_probs,
    };
    writeln!(out, "{}", serde_json::to_string(&record)?)?;
    Ok(())
}
