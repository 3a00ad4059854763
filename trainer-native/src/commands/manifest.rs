//! `manifest`: lists a checkpoint's files with sizes and hashes, for browsers that fetch it.

use crate::checkpoint::write_file;
use crate::cli::ManifestArgs;
use crate::commands::inspect;
use anyhow::{Context, Result, bail};
use fine_r1_core::config::manifest::MANIFEST_FILE;
use fine_r1_core::config::{Manifest, ManifestFile};
use fine_r1_core::weights::ShardIndex;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::Path;

/// What a model needs besides its weights, where it is there.
const FILES: [&str; 8] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
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
    let examined = inspect::examine(folder)?;
    if let Some(flaw) = examined.flaw() {
        bail!(
            "{} cannot be loaded: {flaw}\nhint: mend the checkpoint first; `inspect` lists all that is wrong",
            folder.display()
        );
    }
    let mut paths: Vec<String> =
        FILES.iter().filter(|file| folder.join(file).exists()).map(ToString::to_string).collect();
    if folder.join(ShardIndex::FILE).exists() {
        paths.push(ShardIndex::FILE.to_owned());
    }
    paths.extend(examined.weight_files().iter().cloned());
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
