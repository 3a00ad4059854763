//! Reads files into memory only as far as their kind allows: a device or a pipe may never end.

use anyhow::{Context, Result, bail};
use fine_r1_core::image::DecodeLimits;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The most text that is read from what is no plain file, whose size nobody knows beforehand.
const MAX_STREAM_BYTES: u64 = 64 << 20;

/// A text file as it is; of a pipe or device the first 64 MiB at most.
///
/// # Errors
/// It cannot be read, is no UTF-8, or does not end.
pub fn read_text(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let max_bytes = file.metadata()?.len().max(MAX_STREAM_BYTES);
    let bytes = read_within(file, max_bytes)?
        .ok_or_else(|| io::Error::new(ErrorKind::FileTooLarge, format!("more than {max_bytes} bytes")))?;
    String::from_utf8(bytes)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
}

/// An encoded image of a size that is decoded.
///
/// # Errors
/// It cannot be read, or is larger than any image may be.
pub fn read_image(path: &Path) -> Result<Vec<u8>> {
    let max_bytes = DecodeLimits::default().max_bytes;
    let unreadable = || format!("cannot read {}\nhint: check the path", path.display());
    if path.is_dir() {
        bail!("{} is a folder\nhint: name the photos themselves", path.display());
    }
    let file = File::open(path).with_context(unreadable)?;
    match read_within(file, max_bytes as u64).with_context(unreadable)? {
        Some(bytes) => Ok(bytes),
        None => bail!("{} has more than {max_bytes} bytes\nhint: save it smaller", path.display()),
    }
}

/// All bytes, or `None` where there are more than `max_bytes`.
fn read_within(source: impl Read, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    source.take(max_bytes + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_is_read_to_its_limit() {
        assert_eq!(read_within(io::repeat(0), 1000).expect("zeros"), None);
        assert_eq!(read_within([7_u8; 3].as_slice(), 3).expect("bytes"), Some(vec![7; 3]));
        assert_eq!(read_within([7_u8; 4].as_slice(), 3).expect("bytes"), None);
    }
}
