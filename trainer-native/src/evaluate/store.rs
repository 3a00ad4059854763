//! The result file: settings and answers, a JSON object a line, appended as they come.
//!
//! Several processes may append to one file: each takes the file's lock for a batch of lines. A line that a
//! killed process left torn is cut off by whoever writes next.

use super::{Record, Settings};
use crate::checkpoint::create_folder;
use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Name of the file in its folder.
pub const FILE: &str = "results.jsonl";

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Line {
    /// What fixes the answers of an id.
    Settings {
        id: String,
        /// The checkpoint as it was named; no part of the id.
        model: String,
        settings: Box<Settings>,
    },
    /// One row's answers.
    Answer(Box<Record>),
}

/// Settings by their ids, and their records by row.
#[derive(Debug, Default)]
pub struct Results {
    /// What was asked, by id.
    pub settings: BTreeMap<String, Settings>,
    /// The checkpoint that answered, as it was named, by id.
    pub models: BTreeMap<String, String>,
    records: HashMap<String, BTreeMap<usize, Record>>,
}

impl Results {
    /// The answers under some settings, by row.
    pub fn of<'results>(&'results self, id: &str) -> impl Iterator<Item = &'results Record> + use<'results> {
        self.records.get(id).into_iter().flat_map(BTreeMap::values)
    }

    /// Whether a row is answered.
    #[must_use]
    pub fn has(&self, id: &str, row: usize) -> bool {
        self.records.get(id).is_some_and(|records| records.contains_key(&row))
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Settings { id, model, settings } => {
                self.models.insert(id.clone(), model);
                self.settings.insert(id, *settings);
            }
            Line::Answer(record) => {
                self.records.entry(record.settings.clone()).or_default().insert(record.row, *record);
            }
        }
    }

    /// Reads a folder's file; there may be none yet.
    ///
    /// # Errors
    /// The file cannot be read, or a line other than a torn last one is malformed.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if path.is_file() { Self::read_file(&path) } else { Ok(Self::default()) }
    }

    /// Reads a result file.
    ///
    /// # Errors
    /// The file cannot be read, or a line other than a torn last one is malformed.
    pub fn read_file(path: &Path) -> Result<Self> {
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.lock_shared().with_context(|| format!("cannot lock {}", path.display()))?;
        Self::read_locked(path, &mut file)
    }

    /// Reads a file that this process has locked.
    fn read_locked(path: &Path, file: &mut File) -> Result<Self> {
        let mut results = Self::default();
        let mut text = Vec::new();
        file.read_to_end(&mut text).with_context(|| format!("cannot read {}", path.display()))?;
        // What stands behind the last line's end was never finished.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for (index, line) in text[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line = serde_json::from_slice(line).map_err(|error| {
                anyhow!(
                    "{}:{}: {error}\nhint: the file was changed by hand or by another version; delete the line, or \
                     name a new folder with --out",
                    path.display(),
                    index + 1
                )
            })?;
            results.take(line);
        }
        Ok(results)
    }
}

/// Where answers go: to memory, and to a file where there is a folder.
#[derive(Debug)]
pub struct Store {
    path: Option<PathBuf>,
    /// All answers, those of earlier runs included.
    pub results: Results,
}

impl Store {
    /// Opens a folder's file and reads what is in it; without a folder everything stays in memory.
    ///
    /// # Errors
    /// The folder cannot be created, or the file is malformed.
    pub fn open(folder: Option<&Path>) -> Result<Self> {
        let Some(folder) = folder else { return Ok(Self { path: None, results: Results::default() }) };
        create_folder(folder)?;
        Ok(Self { path: Some(folder.join(FILE)), results: Results::read(folder)? })
    }

    /// Announces settings, once.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn announce(&mut self, settings: &Settings, model: &str) -> Result<()> {
        let id = settings.id();
        if self.results.settings.contains_key(&id) {
            return Ok(());
        }
        self.append(vec![Line::Settings {
            id,
            model: model.to_owned(),
            settings: Box::new(settings.clone()),
        }])
    }

    /// Takes answers, all in one piece.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, records: Vec<Record>) -> Result<()> {
        self.append(records.into_iter().map(|record| Line::Answer(Box::new(record))).collect())
    }

    /// What others have written in the meantime.
    ///
    /// # Errors
    /// The file is malformed.
    pub fn refresh(&mut self) -> Result<()> {
        if let Some(folder) = self.path.as_deref().and_then(Path::parent) {
            self.results = Results::read(folder)?;
        }
        Ok(())
    }

    /// Keeps other processes from writing into the folder while the returned file lives, and takes what they
    /// have written until then; `None` without a folder.
    ///
    /// # Errors
    /// The file cannot be locked, or is malformed.
    pub fn lock(&mut self) -> Result<Option<File>> {
        let Some(path) = &self.path else { return Ok(None) };
        let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        self.results = Results::read_locked(path, &mut file)?;
        Ok(Some(file))
    }

    fn append(&mut self, lines: Vec<Line>) -> Result<()> {
        if let Some(path) = &self.path {
            let mut text = Vec::new();
            for line in &lines {
                serde_json::to_writer(&mut text, line)?;
                text.push(b'\n');
            }
            append_whole(path, &text).with_context(|| {
                format!("cannot write {}\nhint: check that the disk has room", path.display())
            })?;
        }
        for line in lines {
            self.results.take(line);
        }
        Ok(())
    }
}

/// Appends whole lines under the file's lock, behind the last whole line.
fn append_whole(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    // The lock goes with the file.
    file.lock()?;
    let end = last_line_end(&mut file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(text)?;
    file.sync_data()
}

/// Where the last whole line ends.
fn last_line_end(file: &mut File) -> std::io::Result<u64> {
    const STEP: u64 = 4096;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let start = end.saturating_sub(STEP);
        let mut piece = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut piece)?;
        if let Some(place) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Variant;
    use crate::evaluate::rows::tests::row;
    use crate::evaluate::settings::tests::settings;

    /// Of several processes that end together, the last to write must know what the others did.
    #[test]
    fn who_holds_the_lock_has_all_answers() {
        let folder = std::env::temp_dir().join(format!("fine-r1-lock-{}", std::process::id()));
        let settings = settings(Variant::Plain);
        let id = settings.id();
        let answer = |number| vec![Record::written(&settings, &id, &row(), number, Vec::new())];
        let mut mine = Store::open(Some(&folder)).expect("a folder");
        mine.announce(&settings, "a").expect("room");
        let mut theirs = Store::open(Some(&folder)).expect("a folder");
        mine.add(answer(0)).expect("room");
        theirs.add(answer(1)).expect("room");
        assert!(!mine.results.has(&id, 1), "not read yet");
        let lock = mine.lock().expect("a lock");
        assert!(lock.is_some() && mine.results.of(&id).count() == 2);
        let other = File::open(folder.join(FILE)).expect("the file");
        assert!(other.try_lock().is_err(), "nobody else writes meanwhile");
        drop(lock);
        theirs.add(answer(2)).expect("room");
        std::fs::remove_dir_all(&folder).expect("a temporary folder");
    }

    #[test]
    fn a_torn_line_is_cut_off_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("fine-r1-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let path = folder.join("torn.jsonl");
        for (before, expected) in [
            ("".to_owned(), "whole\n".to_owned()),
            ("a\nb\n".to_owned(), "a\nb\nwhole\n".to_owned()),
            ("a\ntorn".to_owned(), "a\nwhole\n".to_owned()),
            ("torn".to_owned(), "whole\n".to_owned()),
            (format!("a\n{}", "x".repeat(9000)), "a\nwhole\n".to_owned()),
        ] {
            std::fs::write(&path, before).expect("a temporary file");
            append_whole(&path, b"whole\n").expect("room");
            assert_eq!(std::fs::read_to_string(&path).expect("text"), expected);
        }
        std::fs::remove_dir_all(&folder).expect("a temporary folder");
    }
}
