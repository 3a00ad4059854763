//! `manifest.json` in a model's folder: what browsers fetch, with sizes and hashes.

use crate::hash::hash_file;
use crate::tree;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What a checkpoint's folder holds for people, not for the model.
const LEFT_OUT: [&str; 1] = ["README.md"];

#[derive(Debug, Serialize)]
struct Manifest<'model> {
    name: &'model str,
    files: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    path: String,
    bytes: u64,
    sha256: String,
}

/// Copies a checkpoint and writes its manifest beside it.
///
/// # Errors
/// A file cannot be read or written.
pub fn publish(name: &str, checkpoint: &Path, out: &Path) -> Result<()> {
    let mut files = Vec::new();
    for path in tree::files(checkpoint)?.into_iter().filter(|path| !LEFT_OUT.contains(&path.as_str())) {
        let file = checkpoint.join(&path);
        tree::copy_file(&file, &out.join(&path))?;
        files.push(Entry { bytes: fs::metadata(&file)?.len(), sha256: hash_file(&file)?, path });
    }
    let text = serde_json::to_string_pretty(&Manifest { name, files })?;
    fs::write(out.join("manifest.json"), text + "\n").context("cannot write manifest.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_manifest_lists_what_the_model_needs() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let [from, to] = ["from", "to"].map(|name| scratch.path().join(name));
        fs::create_dir(&from).expect("a folder");
        for (name, text) in [("README.md", "# nano"), ("config.json", "abc")] {
            fs::write(from.join(name), text).expect("a file");
        }
        publish("nano", &from, &to).expect("a manifest");
        let text = fs::read_to_string(to.join("manifest.json")).expect("a manifest");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            serde_json::from_str::<Value>(&text).expect("JSON"),
            json!({ "name": "nano", "files": [{ "path": "config.json", "bytes": 3, "sha256": sha256 }] })
        );
        assert!(!to.join("README.md").exists());
    }
}
