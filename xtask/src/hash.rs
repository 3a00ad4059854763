//! SHA-256 of files and texts, in hexadecimal digits.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The hash of a file.
///
/// # Errors
/// It cannot be read.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    io::copy(&mut file, &mut hasher).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hexadecimal(hasher))
}

/// One hash of several files.
///
/// # Errors
/// One of them cannot be read.
pub fn hash_files(paths: &[impl AsRef<Path>]) -> Result<String> {
    let mut mixer = Mixer::default();
    for path in paths {
        let path = path.as_ref();
        mixer.add(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(mixer.finish())
}

/// Mixes pieces into one hash; where a piece ends matters.
#[derive(Debug, Default)]
pub struct Mixer(Sha256);

impl Mixer {
    /// Adds a piece.
    pub fn add(&mut self, piece: impl AsRef<[u8]>) {
        let piece = piece.as_ref();
        self.0.update((piece.len() as u64).to_le_bytes());
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> String {
        hexadecimal(self.0)
    }
}

fn hexadecimal(hasher: Sha256) -> String {
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(pieces: &[&str]) -> String {
        let mut mixer = Mixer::default();
        pieces.iter().for_each(|piece| mixer.add(piece));
        mixer.finish()
    }

    #[test]
    fn the_hash_of_a_file_is_its_sha256() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(file.path(), "abc").expect("a file");
        assert_eq!(
            hash_file(file.path()).expect("a hash"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn where_a_piece_ends_matters() {
        assert_eq!(mixed(&["ab", "c"]), mixed(&["ab", "c"]));
        assert_ne!(mixed(&["ab", "c"]), mixed(&["a", "bc"]));
    }
}
