//! What a run writes about itself: `log.jsonl`, event files for TensorBoard, drawings of its curves, and where
//! it came from.
//!
//! A run that goes on from an earlier step forgets what was written of later ones.

mod entry;
mod events;
mod plot;
mod provenance;

pub use entry::{Entry, Evaluation, Training};
pub use plot::Drawing;
pub use provenance::Provenance;

use crate::checkpoint::{create_folder, write_file};
use anyhow::{Context, Result};
use events::EventFile;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

const LOG: &str = "log.jsonl";

/// A line of a run's log.
pub trait Line: Serialize + DeserializeOwned {
    /// After which step it was written.
    fn step(&self) -> usize;

    /// What TensorBoard shows of it, by tag.
    fn scalars(&self) -> Vec<(String, f64)>;

    /// What is drawn of a whole run.
    fn drawings(lines: &[Self]) -> Vec<Drawing>;
}

/// The journal of a run, whose log has lines of one kind.
#[derive(Debug)]
pub struct Journal<L> {
    folder: PathBuf,
    events: EventFile,
    lines: Vec<L>,
}

impl<L: Line> Journal<L> {
    /// Opens the journal of a run that has made `first_step` steps, and forgets what is said of later
    /// ones.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(folder: &Path, first_step: usize) -> Result<Self> {
        let mut kept = read::<L>(folder)?;
        kept.retain(|(_, line)| line.step() <= first_step);
        let text: String = kept.iter().map(|(text, _)| format!("{text}\n")).collect();
        write_file(&folder.join(LOG), text.as_bytes())?;
        let events = folder.join("tensorboard");
        create_folder(&events)?;
        Ok(Self {
            folder: folder.to_owned(),
            events: EventFile::create(&events, first_step)?,
            lines: kept.into_iter().map(|(_, line)| line).collect(),
        })
    }

    /// All lines so far, also those from before the run was gone on with.
    #[must_use]
    pub fn lines(&self) -> &[L] {
        &self.lines
    }

    /// Takes note of something.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, line: L) -> Result<()> {
        let path = self.folder.join(LOG);
        let text = serde_json::to_string(&line)?;
        let append = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "{text}")
        };
        append().with_context(|| {
            format!("cannot write {}\nhint: check that the disk has room", path.display())
        })?;
        let scalars = line.scalars();
        self.events.scalars(line.step(), scalars.iter().map(|(tag, value)| (tag.as_str(), *value)))?;
        self.lines.push(line);
        Ok(())
    }

    /// Draws the curves of the whole run; one without points has no drawing.
    ///
    /// # Errors
    /// The disk is full.
    pub fn plot(&self) -> Result<()> {
        for drawing in L::drawings(&self.lines) {
            if let Some(text) = plot::draw(&drawing)? {
                write_file(&self.folder.join(drawing.file), text.as_bytes())?;
            }
        }
        Ok(())
    }
}

/// The complete lines of a log, as they stand there and read; none where there is no log.
fn read<L: Line>(folder: &Path) -> Result<Vec<(String, L)>> {
    let path = folder.join(LOG);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // A program that was killed may have written half a line.
    Ok(text.lines().filter_map(|line| Some((line.to_owned(), serde_json::from_str(line).ok()?))).collect())
}

#[cfg(test)]
mod tests;
