//! Folders that a test may spoil: copies of golden checkpoints, pictures and messages.

use crate::{ModelCase, golden};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that goes when the test ends.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Scratch {
    /// An empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A copy of a golden checkpoint.
    pub fn checkpoint(name: &str) -> Self {
        let scratch = Self::new();
        copy_files(&golden("checkpoints").join(name), scratch.path());
        scratch
    }

    /// The golden pictures and, beside them, the messages of a case as `messages.json`.
    pub fn conversation(case: &ModelCase) -> Self {
        let scratch = Self::new();
        copy_files(&golden("images"), scratch.path());
        scratch.write("messages.json", case.messages.to_string());
        scratch
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path inside.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The same as text, for command lines.
    pub fn arg(&self, name: &str) -> String {
        self.at(name).to_str().expect("a temporary path is UTF-8").to_owned()
    }

    /// The folder as text.
    pub fn dir(&self) -> String {
        self.path().to_str().expect("a temporary path is UTF-8").to_owned()
    }

    /// Writes a file; returns its path as text.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.at(name), bytes).expect("a temporary file");
        self.arg(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Keeps the first bytes of a file.
    pub fn cut(&self, name: &str, length: usize) {
        let bytes = self.read(name);
        assert!(length < bytes.len(), "{name} has {} bytes", bytes.len());
        self.write(name, &bytes[..length]);
    }

    /// Changes a JSON file.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut json: Value = serde_json::from_slice(&self.read(name)).expect("JSON");
        change(&mut json);
        self.write(name, json.to_string());
    }
}

/// The path of a golden checkpoint as text.
pub fn golden_checkpoint(name: &str) -> String {
    golden("checkpoints").join(name).to_str().expect("a UTF-8 path").to_owned()
}

/// The path of a golden picture as text.
pub fn golden_image(name: &str) -> String {
    golden("images").join(name).to_str().expect("a UTF-8 path").to_owned()
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let name = path.file_name().expect("a file has a name");
            fs::copy(&path, to.join(name)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
