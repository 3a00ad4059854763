//! A checkpoint's identity: by its contents, whatever its folder is called.

use super::data_set::sha256;
use crate::adapter::CONFIG_FILE;
use crate::checkpoint::{embedded_files, embedded_weights, map, weight_files};
use anyhow::{Context, Result};
use fine_r1_core::weights::ADAPTER_FILE;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// Pieces of a weight file that count, spread evenly over it, and their length in bytes.
const PIECES: usize = 64;
const PIECE_BYTES: usize = 4096;

/// Files besides the weights that change answers.
const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
];

/// SHA-256 over a checkpoint's files; of weights over length, head and pieces, because reading all of
/// fifteen gigabytes takes a minute, and training changes every piece. Without a folder the embedded
/// model's. An adapter counts with all its bytes.
///
/// # Errors
/// A file cannot be read.
pub fn fingerprint(folder: Option<&Path>, adapter: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    match folder {
        None => {
            let files = embedded_files();
            hash.update(files.config);
            hash.update(files.tokenizer);
            add_weights(&mut hash, embedded_weights());
        }
        Some(folder) => {
            for name in FILES {
                add_file(&mut hash, folder, name)?;
            }
            for name in weight_files(folder)? {
                add_weights(&mut hash, &map(folder, &name)?);
            }
        }
    }
    if let Some(adapter) = adapter {
        for name in [CONFIG_FILE, ADAPTER_FILE] {
            add_file(&mut hash, adapter, name)?;
        }
    }
    Ok(finish(hash))
}

fn add_file(hash: &mut Sha256, folder: &Path, name: &str) -> Result<()> {
    let path = folder.join(name);
    if path.is_file() {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        hash.update(sha256(&bytes));
    }
    hash.update(name);
    Ok(())
}

fn add_weights(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    let step = (bytes.len() / PIECES).max(PIECE_BYTES);
    for piece in bytes.chunks(step) {
        hash.update(&piece[..piece.len().min(PIECE_BYTES)]);
    }
}

fn finish(hash: Sha256) -> String {
    sha256(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_model_is_always_the_same_one() {
        let first = fingerprint(None, None).expect("it is inside");
        assert_eq!((first.len(), fingerprint(None, None).expect("it is inside") == first), (64, true));
    }
}
