//! A checkpoint's identity: by its contents, whatever its folder is called.

use super::data_set::sha256;
use crate::adapter::CONFIG_FILE;
use crate::checkpoint::{embedded_files, embedded_weights, map, weight_files};
use anyhow::{Context, Result, anyhow};
use fine_r1_core::weights::{ADAPTER_FILE, LENGTH_FIELD, WeightsError, header_length, read_places};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

/// Weight files up to this size count with every byte.
const WHOLE_BYTES: usize = 256 << 20;
/// Of larger ones count the header and of every tensor a piece of each stretch and the last piece.
const STRETCH_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 4 << 10;

/// Files besides the weights that change answers, or vectors of texts.
const FILES: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
];

/// SHA-256 over a checkpoint's files; of large weight files over pieces of every tensor, because reading all
/// of fifteen gigabytes takes a minute, and training changes every piece. Without a folder the embedded
/// model's. An adapter counts with all its bytes.
///
/// # Errors
/// A file cannot be read, or a large weight file is damaged.
pub fn fingerprint(folder: Option<&Path>, adapter: Option<&Path>) -> Result<String> {
    let mut hash = Sha256::new();
    match folder {
        None => {
            let files = embedded_files();
            let texts = [
                Some(files.config),
                files.generation,
                files.preprocessor,
                files.tokenizer_config,
                files.template_jinja,
            ];
            for text in texts.into_iter().flatten() {
                hash.update(sha256(text.as_bytes()));
            }
            hash.update(files.tokenizer);
            hash.update(embedded_weights());
        }
        Some(folder) => {
            for name in FILES {
                add_file(&mut hash, folder, name)?;
            }
            for name in weight_files(folder)? {
                add_weights(&mut hash, &name, &map(folder, &name)?, WHOLE_BYTES)
                    .map_err(|error| anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint()))?;
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

/// Adds a weight file: all of it up to `whole_bytes`, pieces of every tensor above.
fn add_weights(hash: &mut Sha256, file: &str, bytes: &[u8], whole_bytes: usize) -> Result<(), WeightsError> {
    hash.update((bytes.len() as u64).to_le_bytes());
    if bytes.len() <= whole_bytes {
        hash.update(bytes);
        return Ok(());
    }
    let header = bytes.first_chunk::<LENGTH_FIELD>().map_or(0, |first| header_length(*first));
    let header = &bytes[..usize::try_from(header).unwrap_or(usize::MAX).min(bytes.len())];
    hash.update(header);
    for place in read_places(file, header, bytes.len() as u64)? {
        let tensor = &bytes[place.bytes];
        for stretch in tensor.chunks(STRETCH_BYTES) {
            hash.update(&stretch[..stretch.len().min(PIECE_BYTES)]);
        }
        hash.update(&tensor[tensor.len().saturating_sub(PIECE_BYTES)..]);
    }
    Ok(())
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

    #[test]
    fn every_tensor_counts_also_in_large_files() {
        let sum = |bytes: &[u8], whole_bytes: usize| {
            let mut hash = Sha256::new();
            add_weights(&mut hash, "model.safetensors", bytes, whole_bytes).expect("sound weights");
            finish(hash)
        };
        let sound = embedded_weights();
        let header = header_length(*sound.first_chunk().expect("a header")) as usize;
        let places = read_places("x", &sound[..header], sound.len() as u64).expect("sound weights");
        let large = sum(sound, 0);
        assert_eq!(large, sum(sound, 0));
        for place in &places {
            for at in [place.bytes.start, place.bytes.end - 1] {
                let mut changed = sound.to_vec();
                changed[at] ^= 1;
                assert_ne!(sum(&changed, 0), large, "{}", place.name);
            }
        }
        // What lies between pieces is seen in small files alone.
        let widest = places.iter().max_by_key(|place| place.bytes.len()).expect("tensors");
        let mut changed = sound.to_vec();
        changed[widest.bytes.start + widest.bytes.len() / 2] ^= 1;
        assert_eq!(sum(&changed, 0), large);
        assert_ne!(sum(&changed, usize::MAX), sum(sound, usize::MAX));
        let mut hash = Sha256::new();
        assert!(add_weights(&mut hash, "cut", &sound[..sound.len() - 1], 0).is_err());
    }
}
