//! `manifest`: lists a checkpoint's files with sizes and hashes, for browsers that fetch it.

use crate::checkpoint::{self, write_file};
use crate::cli::ManifestArgs;
use anyhow::{Context, Result};
use fine_r1_core::config::manifest::MANIFEST_FILE;
use fine_r1_core::config::{Manifest, ManifestFile};
use fine_r1_core::weights::ShardIndex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// What a model needs besides its weights, where it is there.
const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// Writes `manifest.json` into the folder.
///
/// # Errors
/// The folder is no checkpoint, or cannot be read or written.
pub fn run(arguments: &ManifestArgs) -> Result<()> {
    let folder = &arguments.model;
    // What cannot be loaded is not worth publishing.
    checkpoint::read_files(folder)?;
    let mut paths: Vec<String> =
        FILES.iter().filter(|file| folder.join(file).exists()).map(ToString::to_string).collect();
    let index = folder.join(ShardIndex::FILE);
    if index.exists() {
        paths.push(ShardIndex::FILE.to_owned());
        let index = ShardIndex::from_json(&checkpoint::read_text(&index)?)?;
        paths.extend(index.files());
    } else {
        paths.push(ShardIndex::SINGLE.to_owned());
    }
    let files = paths.into_iter().map(|path| describe(folder, path)).collect::<Result<Vec<_>>>()?;
    let name = arguments.name.clone().unwrap_or_else(|| {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.clone());
        folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    });
    let manifest = Manifest { name, files };
    let path = folder.join(MANIFEST_FILE);
    write_file(&path, (serde_json::to_string_pretty(&manifest)? + "\n").as_bytes())?;
    eprintln!("wrote {}: {} files, {} bytes", path.display(), manifest.files.len(), manifest.bytes());
    Ok(())
}

fn describe(folder: &Path, path: String) -> Result<ManifestFile> {
    let at = folder.join(&path);
    let unreadable = || format!("cannot read {}\nhint: the checkpoint needs this file", at.display());
    let mut file = File::open(&at).with_context(unreadable)?;
    let mut hasher = Sha256::new();
    let bytes = io::copy(&mut file, &mut hasher).with_context(unreadable)?;
    Ok(ManifestFile { path, bytes, sha256: format!("{:x}", hasher.finalize()) })
}
