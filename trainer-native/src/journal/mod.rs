//! What a run writes about itself: `log.jsonl`, event files for TensorBoard, a drawing of the losses,
//! and where it came from.
//!
//! A run that goes on from an earlier step forgets what was written of later ones.

mod events;
mod plot;
mod provenance;

pub use provenance::Provenance;

use crate::checkpoint::{create_folder, write_file};
use anyhow::{Context, Result};
use events::EventFile;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One line of the log: a stretch of steps, or a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// Steps that were made.
    Training(Training),
    /// Samples that are not trained on.
    Evaluation(Evaluation),
}

/// A stretch of steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Training {
    /// The last of them, from 1.
    pub step: usize,
    /// Steps of the run.
    pub total_steps: usize,
    /// How often the data was gone through.
    pub epoch: f64,
    /// Mean over the stretch; none where nothing was learnt.
    pub loss: Option<f64>,
    /// Of the last step, before clipping.
    pub grad_norm: f32,
    /// Of the last step, for the language model.
    pub learning_rate: f64,
    /// Over the stretch.
    pub tokens_per_sec: f64,
    /// Over the stretch.
    pub samples_per_sec: f64,
    /// Until the end of the run, at its pace so far.
    pub remaining_secs: f64,
}

/// A measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluation {
    /// After which step.
    pub step: usize,
    /// Mean over all labels.
    pub eval_loss: f64,
    /// Share of the samples that were named rightly, where classes are told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_accuracy: Option<f64>,
}

impl Entry {
    fn step(&self) -> usize {
        match self {
            Self::Training(training) => training.step,
            Self::Evaluation(evaluation) => evaluation.step,
        }
    }
}

/// The journal of a run.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    events: EventFile,
}

const LOG: &str = "log.jsonl";

impl Journal {
    /// Opens the journal of a run that has made `first_step` steps, and forgets what is said of later
    /// ones.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path, first_step: usize) -> Result<Self> {
        let kept: Vec<Entry> = read(folder)?.into_iter().filter(|entry| entry.step() <= first_step).collect();
        let mut text = String::new();
        for entry in kept {
            text += &(serde_json::to_string(&entry)? + "\n");
        }
        write_file(&folder.join(LOG), text.as_bytes())?;
        let events = folder.join("tensorboard");
        create_folder(&events)?;
        Ok(Self { folder: folder.to_owned(), events: EventFile::create(&events, first_step)? })
    }

    /// Takes note of something.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, entry: &Entry) -> Result<()> {
        let path = self.folder.join(LOG);
        let line = serde_json::to_string(entry)?;
        let append = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "{line}")
        };
        append().with_context(|| {
            format!("cannot write {}\nhint: check that the disk has room", path.display())
        })?;
        match entry {
            Entry::Training(training) => {
                let loss = training.loss.map(|loss| ("train/loss", loss));
                let rest = [
                    ("train/grad_norm", f64::from(training.grad_norm)),
                    ("train/learning_rate", training.learning_rate),
                    ("train/tokens_per_sec", training.tokens_per_sec),
                ];
                self.events.scalars(training.step, loss.into_iter().chain(rest))
            }
            Entry::Evaluation(evaluation) => {
                let accuracy = evaluation.eval_accuracy.map(|accuracy| ("eval/accuracy", accuracy));
                let loss = [("eval/loss", evaluation.eval_loss)];
                self.events.scalars(evaluation.step, loss.into_iter().chain(accuracy))
            }
        }
    }

    /// Draws the losses of the whole run as `loss.svg`; a run without losses has no drawing.
    ///
    /// # Errors
    /// The disk is full.
    pub fn plot(&self) -> Result<()> {
        match plot::draw(&read(&self.folder)?)? {
            Some(drawing) => write_file(&self.folder.join("loss.svg"), drawing.as_bytes()),
            None => Ok(()),
        }
    }
}

/// The complete lines of a log; none where there is no log.
fn read(folder: &Path) -> Result<Vec<Entry>> {
    let path = folder.join(LOG);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // A program that was killed may have written half a line.
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

#[cfg(test)]
mod tests;
