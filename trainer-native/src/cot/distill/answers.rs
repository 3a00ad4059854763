//! Every answer that was paid for, in a file that only grows: a run that was cut goes on where it was,
//! and nothing is asked twice.

use crate::cot::teacher::{Question, Reply};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the file in the output folder.
pub const ANSWERS_FILE: &str = "answers.jsonl";

/// Answers of earlier runs, and the file that takes new ones.
#[derive(Debug)]
pub struct Answers {
    path: PathBuf,
    file: Mutex<File>,
    known: HashMap<String, Reply>,
}

/// A line of the file. Besides the key, what is for people to read.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    image: String,
    label: String,
    purpose: String,
    #[serde(flatten)]
    reply: Reply,
}

impl Answers {
    /// Opens the file, or begins it. A last line that a cut left incomplete is taken away.
    ///
    /// # Errors
    /// It cannot be read or written, is not of this kind, or another run uses it.
    pub fn open(path: &Path) -> Result<Self> {
        let about = || format!("cannot use {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(|| format!("{}\nhint: name a folder that may be written", about()))?;
        // Some network drives know no locks; there two runs at once are the user's care.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            bail!(
                "{} is in use by another run\nhint: wait for it, or write into another folder with --out",
                path.display()
            );
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(about)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut known = HashMap::new();
        for (index, line) in bytes[..whole].split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let line: Line = serde_json::from_slice(line).with_context(|| {
                format!(
                    "{}:{} is no answer of a teacher\nhint: move the file away; all questions are then asked anew",
                    path.display(),
                    index + 1
                )
            })?;
            known.insert(line.key, line.reply);
        }
        file.set_len(whole as u64).with_context(about)?;
        file.seek(SeekFrom::End(0)).with_context(about)?;
        Ok(Self { path: path.to_owned(), file: Mutex::new(file), known })
    }

    /// Number of answers that earlier runs left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// The answer of an earlier run.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Reply> {
        self.known.get(key)
    }

    /// Adds an answer; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk is full.
    pub fn record(&self, key: &str, image: &str, question: &Question, reply: &Reply) -> Result<()> {
        let line = Line {
            key: key.to_owned(),
            image: image.to_owned(),
            label: question.label.clone(),
            purpose: question.purpose.name().to_owned(),
            reply: reply.clone(),
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).with_context(|| {
            format!("cannot write {}\nhint: check that the disk has room", self.path.display())
        })
    }
}

/// What makes two questions the same: who is asked, about which image, by its bytes, and everything that is said.
#[must_use]
pub fn key(teacher: &str, image: &str, question: &Question) -> String {
    let mut hash = Sha256::new();
    let numbers = format!("{} {} {}", question.max_new_tokens, question.temperature, question.seed);
    let parts = [teacher, image, &question.label, question.purpose.name(), &question.prompt, &numbers];
    // Who cannot be read is refused by the teacher.
    let picture = std::fs::read(&question.image).unwrap_or_default();
    for part in parts.iter().map(|part| part.as_bytes()).chain([picture.as_slice()]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use crate::cot::teacher::{Purpose, Tokens};
    use std::fs;

    fn question(prompt: &str) -> Question {
        Question {
            purpose: Purpose::Rationale,
            image: "a.jpg".into(),
            label: "A320".into(),
            prompt: prompt.into(),
            max_new_tokens: 8,
            temperature: 0.7,
            seed: 1,
        }
    }

    fn reply(text: &str) -> Reply {
        Reply { text: text.into(), complete: true, tokens: Tokens { prompt: 5, completion: 2 } }
    }

    #[test]
    fn what_was_answered_is_known_and_a_cut_line_is_not() {
        let folder = Folder::new();
        let path = folder.path().join(ANSWERS_FILE);
        let answers = Answers::open(&path).unwrap();
        for text in ["one", "two\nlines", "three"] {
            answers
                .record(&key("t", "a.jpg", &question(text)), "a.jpg", &question(text), &reply(text))
                .unwrap();
        }
        assert!(Answers::open(&path).unwrap_err().to_string().contains("in use"));
        drop(answers);
        let whole = fs::read(&path).unwrap();
        let first_two = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 1;
        for length in first_two..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let answers = Answers::open(&path).unwrap();
            assert_eq!(answers.len(), 2);
            assert_eq!(answers.get(&key("t", "a.jpg", &question("two\nlines"))), Some(&reply("two\nlines")));
            assert_eq!(answers.get(&key("t", "a.jpg", &question("three"))), None);
            let again = key("t", "a.jpg", &question("three"));
            answers.record(&again, "a.jpg", &question("three"), &reply("three")).unwrap();
            drop(answers);
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {length}");
        }
        fs::write(&path, "{}\n").unwrap();
        assert!(Answers::open(&path).unwrap_err().to_string().contains("answers.jsonl:1"));
    }

    #[test]
    fn every_part_of_a_question_counts() {
        let asked = question("p");
        let mut keys = vec![key("t", "a", &asked), key("u", "a", &asked), key("t", "b", &asked)];
        keys.push(key("t", "a", &Question { label: "A321".into(), ..asked.clone() }));
        keys.push(key("t", "a", &Question { purpose: Purpose::Description, ..asked.clone() }));
        keys.push(key("t", "a", &Question { prompt: "q".into(), ..asked.clone() }));
        keys.push(key("t", "a", &Question { max_new_tokens: 9, ..asked.clone() }));
        keys.push(key("t", "a", &Question { temperature: 0.0, ..asked.clone() }));
        keys.push(key("t", "a", &Question { seed: 2, ..asked.clone() }));
        // Where the picture lies on this machine does not.
        assert_eq!(keys[0], key("t", "a", &Question { image: "elsewhere/a.jpg".into(), ..asked }));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
