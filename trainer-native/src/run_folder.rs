//! The folder of a run: saved states that are complete or absent, whenever the program ends.
//!
//! A state is written under another name, forced onto the disk and renamed; one that goes is renamed
//! before it is taken apart. So every folder `checkpoint-N` is whole, and what a run that was killed
//! left half done is told by its name.

use crate::checkpoint::{create_folder, read_text, write_file};
use crate::exact;
use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The optimizer's file in a state.
pub const OPTIMIZER: &str = "optimizer.safetensors";
/// File of the state's own facts.
const FACTS: &str = "trainer_state.json";
/// Begins the name of a state.
const STATE: &str = "checkpoint-";
/// Begins the name of what is being written or taken apart.
const UNFINISHED: &str = "unfinished-";

/// What a state of fine-tuning remembers besides weights and optimizer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Steps made.
    pub step: usize,
    /// The state with the lowest measured loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// The state with the lowest measured loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its step.
    pub step: usize,
    /// What was measured.
    #[serde(with = "exact")]
    pub loss: f64,
}

/// Where a run begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start<F> {
    /// From the recipe's checkpoint.
    Anew,
    /// From a state of the run.
    From {
        /// The state's folder.
        folder: PathBuf,
        /// What it remembers.
        facts: F,
    },
}

/// The folder of a run.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// A folder that need not be there yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the state after a step.
    #[must_use]
    pub fn state(&self, step: usize) -> PathBuf {
        self.0.join(format!("{STATE}{step}"))
    }

    /// Where the run begins; a run that is there is neither overwritten nor gone on with by accident.
    ///
    /// # Errors
    /// There is a run and `resume` is false, or none and it is true, or the last state is damaged.
    pub fn start<F: DeserializeOwned>(&self, resume: bool) -> Result<Start<F>> {
        match (resume, self.steps().last()) {
            (true, Some(step)) => {
                let folder = self.state(*step);
                let path = folder.join(FACTS);
                let facts = serde_json::from_str(&read_text(&path)?).with_context(|| damaged(&path))?;
                Ok(Start::From { folder, facts })
            }
            (true, None) => bail!(
                "{} has no checkpoint to resume from\nhint: leave out --resume to begin, or correct output_dir",
                self.0.display()
            ),
            (false, Some(_)) => bail!(
                "{} already holds a run\nhint: go on with --resume, or choose another output_dir",
                self.0.display()
            ),
            (false, None) => Ok(Start::Anew),
        }
    }

    /// Makes the folder and removes what an earlier run left half done.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn open(&self) -> Result<()> {
        create_folder(&self.0)?;
        for entry in fs::read_dir(&self.0)?.filter_map(Result::ok) {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes the state after a step: `write` puts weights and optimizer into the folder that it is given.
    ///
    /// # Errors
    /// `write` fails or the disk is full; earlier states stay as they are.
    pub fn save<F: Serialize>(
        &self,
        step: usize,
        facts: &F,
        write: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<()> {
        let folder = self.state(step);
        let temporary = self.0.join(format!("{UNFINISHED}{step}"));
        let written = create_folder(&temporary)
            .and_then(|()| write(&temporary))
            .and_then(|()| write_file(&temporary.join(FACTS), serde_json::to_string(facts)?.as_bytes()))
            .and_then(|()| settle(&temporary));
        if let Err(error) = written {
            // Room for whoever needs it; the error that is told is the first.
            drop(fs::remove_dir_all(&temporary));
            return Err(error);
        }
        if folder.exists() {
            self.discard(&folder)?;
        }
        fs::rename(&temporary, &folder).with_context(|| format!("cannot write {}", folder.display()))?;
        settle(&self.0)
    }

    /// Removes states until there are `limit`, the oldest first, but never the best or the last.
    ///
    /// # Errors
    /// A state cannot be removed.
    pub fn keep(&self, limit: usize, best: Option<Best>) -> Result<()> {
        let steps = self.steps();
        let Some((_, earlier)) = steps.split_last() else { return Ok(()) };
        let surplus = steps.len().saturating_sub(limit.max(1));
        let is_best = |step: usize| best.is_some_and(|best| best.step == step);
        for step in earlier.iter().filter(|step| !is_best(**step)).take(surplus) {
            self.discard(&self.state(*step))?;
        }
        Ok(())
    }

    fn discard(&self, folder: &Path) -> Result<()> {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let doomed = self.0.join(format!("{UNFINISHED}{name}"));
        fs::rename(folder, &doomed).with_context(|| format!("cannot remove {}", folder.display()))?;
        remove(&doomed)
    }

    /// Steps of the saved states, in order.
    fn steps(&self) -> Vec<usize> {
        let Ok(entries) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut steps: Vec<usize> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix(STATE)?.parse().ok())
            .collect();
        steps.sort_unstable();
        steps
    }
}

/// What is said of a saved state that cannot be gone on from.
#[must_use]
pub fn damaged(path: &Path) -> String {
    format!("{} is damaged\nhint: remove this checkpoint to go on from the one before", path.display())
}

/// Forces a folder's list of names onto the disk, where the system has a way to do so.
fn settle(folder: &Path) -> Result<()> {
    if cfg!(unix) {
        let settled = File::open(folder).and_then(|folder| folder.sync_all());
        settled.with_context(|| format!("cannot write {}", folder.display()))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.with_context(|| format!("cannot remove {}\nhint: remove it by hand", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> RunFolder {
        let path = std::env::temp_dir().join(format!("run-folder-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        RunFolder::new(&path)
    }

    fn facts(step: usize) -> Facts {
        Facts { step, best: None }
    }

    #[test]
    fn the_best_and_the_last_stay() {
        let run = folder("best");
        run.open().expect("a folder");
        let best = Some(Best { step: 2, loss: 0.5 });
        for step in 1..=5 {
            run.save(step, &facts(step), |_| Ok(())).expect("saved");
            run.keep(2, best.filter(|best| best.step <= step)).expect("room is made");
        }
        assert_eq!(run.steps(), [2, 5]);
        run.keep(1, best).expect("room is made");
        assert_eq!(run.steps(), [2, 5], "neither goes");
        run.keep(1, None).expect("room is made");
        assert_eq!(run.steps(), [5]);
        fs::remove_dir_all(run.path()).expect("our folder");
    }

    #[test]
    fn a_state_that_could_not_be_written_leaves_nothing_and_touches_nothing() {
        let run = folder("full");
        run.open().expect("a folder");
        run.save(1, &facts(1), |folder| Ok(fs::write(folder.join("weights"), "1")?)).expect("saved");
        let error = run
            .save(2, &facts(2), |folder| {
                fs::write(folder.join("weights"), "2")?;
                bail!("no room")
            })
            .expect_err("the disk is full");
        assert_eq!(error.to_string(), "no room");
        let names: Vec<_> = fs::read_dir(run.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["checkpoint-1"]);
        assert_eq!(fs::read(run.state(1).join("weights")).expect("kept"), b"1");
        assert!(matches!(run.start(true), Ok(Start::From { facts: Facts { step: 1, .. }, .. })));
        assert!(run.start::<Facts>(false).is_err());
        fs::remove_dir_all(run.path()).expect("our folder");
    }

    #[test]
    fn what_a_killed_run_left_is_cleared_away() {
        let run = folder("killed");
        for name in ["unfinished-3", "unfinished-checkpoint-1"] {
            fs::create_dir_all(run.path().join(name)).expect("a folder");
            fs::write(run.path().join(name).join("half"), "").expect("a file");
        }
        assert!(matches!(run.start::<Facts>(false), Ok(Start::Anew)), "half a state is none");
        run.open().expect("a folder");
        assert_eq!(fs::read_dir(run.path()).expect("a folder").count(), 0);
        fs::remove_dir_all(run.path()).expect("our folder");
    }
}
