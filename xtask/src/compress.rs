//! Files beside which a gzip and a brotli form lie, for servers that pass them on as they are.

use crate::folders::Folders;
use crate::hash::hash_file;
use crate::tree;
use anyhow::Result;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write;
use std::ops::AddAssign;
use std::path::Path;

/// Endings of the compressed forms.
pub const ENDINGS: [&str; 2] = [".br", ".gz"];

/// Files that shrink; photos and weights do not.
const SHRINKS: [&str; 9] = ["css", "html", "js", "json", "md", "svg", "ts", "wasm", "webmanifest"];
/// Below this a compressed form saves no packet.
const WORTHWHILE_BYTES: u64 = 1024;
/// The best quality, and the largest window that every browser takes.
const BROTLI_QUALITY: i32 = 11;
const BROTLI_WINDOW: i32 = 24;

/// Bytes of files in their three forms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// As they are.
    pub raw: u64,
    /// For old clients.
    pub gzip: u64,
    /// For all browsers.
    pub brotli: u64,
}

impl AddAssign for Sizes {
    fn add_assign(&mut self, other: Self) {
        self.raw += other.raw;
        self.gzip += other.gzip;
        self.brotli += other.brotli;
    }
}

/// Puts the compressed forms beside a file, where they are worth it.
///
/// # Errors
/// A file cannot be read or written.
pub fn compress(file: &Path, folders: &Folders) -> Result<Sizes> {
    let raw = fs::metadata(file)?.len();
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if raw < WORTHWHILE_BYTES || !SHRINKS.contains(&ending) {
        return Ok(Sizes { raw, gzip: raw, brotli: raw });
    }
    // The best quality takes half a minute for a large module: the results are kept by content.
    let kept = folders.cache().join("compressed");
    fs::create_dir_all(&kept)?;
    let hash = hash_file(file)?;
    let [brotli, gzip] = ENDINGS.map(|ending| kept.join(format!("{hash}{ending}")));
    if !brotli.exists() || !gzip.exists() {
        let bytes = fs::read(file)?;
        keep(&gzip, &to_gzip(&bytes)?)?;
        keep(&brotli, &to_brotli(&bytes)?)?;
    }
    for (form, ending) in [(&brotli, ENDINGS[0]), (&gzip, ENDINGS[1])] {
        let mut beside = file.as_os_str().to_owned();
        beside.push(ending);
        tree::copy_file(form, Path::new(&beside))?;
    }
    Ok(Sizes { raw, gzip: fs::metadata(&gzip)?.len(), brotli: fs::metadata(&brotli)?.len() })
}

fn to_gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn to_brotli(bytes: &[u8]) -> Result<Vec<u8>> {
    let params = BrotliEncoderParams {
        quality: BROTLI_QUALITY,
        lgwin: BROTLI_WINDOW,
        size_hint: bytes.len(),
        ..Default::default()
    };
    let mut compressed = Vec::new();
    brotli::BrotliCompress(&mut &bytes[..], &mut compressed, &params)?;
    Ok(compressed)
}

/// Writes a file whole or not at all.
fn keep(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_compressed_comes_back() {
        let bytes: Vec<u8> = (0..100_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let (gzip, brotli) = (to_gzip(&bytes).expect("gzip"), to_brotli(&bytes).expect("brotli"));
        assert!(gzip.len() < bytes.len() / 10 && brotli.len() < bytes.len() / 10);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(gzip.as_slice()).read_to_end(&mut back).expect("gzip");
        assert_eq!(back, bytes);
        back.clear();
        brotli::Decompressor::new(brotli.as_slice(), 4096).read_to_end(&mut back).expect("brotli");
        assert_eq!(back, bytes);
    }
}
