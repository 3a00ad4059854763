//! TensorBoard's event files: records of protocol buffers, each with two checksums.
//!
//! Records: <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/lib/io/record_writer.h>;
//! their content: <https://github.com/tensorflow/tensorflow/blob/v2.16.1/tensorflow/core/util/event.proto>.

use anyhow::{Context, Result};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// An event file that is being written.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
}

impl EventFile {
    /// Begins a file; what earlier files of the folder say of steps after `first_step` is void.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path, first_step: usize) -> Result<Self> {
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // TensorBoard reads files in the order of their names.
        let name = format!(
            "events.out.tfevents.{}.{:09}.{}",
            begun.as_secs(),
            begun.subsec_nanos(),
            std::process::id()
        );
        let path = folder.join(name);
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let mut events = Self { path, file };
        events.record(&event(begun.as_secs_f64(), 0, &text_field(3, b"brain.Event:2")))?;
        // A session log whose status is START.
        let start = text_field(7, &number_field(1, 1));
        events.record(&event(begun.as_secs_f64(), first_step + 1, &start))?;
        Ok(events)
    }

    /// Writes numbers of a step.
    ///
    /// # Errors
    /// The disk is full.
    pub fn scalars<'tag>(
        &mut self,
        step: usize,
        scalars: impl IntoIterator<Item = (&'tag str, f64)>,
    ) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = text_field(1, tag.as_bytes());
            entry.push(2 << 3 | FOUR_BYTES);
            entry.extend((value as f32).to_le_bytes());
            summary.extend(text_field(1, &entry));
        }
        self.record(&event(now, step, &text_field(5, &summary)))
    }

    fn record(&mut self, content: &[u8]) -> Result<()> {
        let length = (content.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_checksum(&length).to_le_bytes());
        record.extend(content);
        record.extend(masked_checksum(content).to_le_bytes());
        self.file.write_all(&record).with_context(|| {
            format!("cannot write {}\nhint: check that the disk has room", self.path.display())
        })
    }
}

/// How the fields of a protocol buffer are laid.
const VARINT: u8 = 0;
const EIGHT_BYTES: u8 = 1;
const LENGTH_FIRST: u8 = 2;
const FOUR_BYTES: u8 = 5;

/// An `Event`: wall time, step, and one more field.
fn event(time: f64, step: usize, content: &[u8]) -> Vec<u8> {
    let mut event = vec![1 << 3 | EIGHT_BYTES];
    event.extend(time.to_le_bytes());
    event.extend(number_field(2, step as u64));
    event.extend(content);
    event
}

fn number_field(number: u8, value: u64) -> Vec<u8> {
    let mut field = vec![number << 3 | VARINT];
    field.extend(varint(value));
    field
}

fn text_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | LENGTH_FIRST];
    field.extend(varint(content.len() as u64));
    field.extend(content);
    field
}

/// Seven bits a byte, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// CRC-32C, turned and shifted so that a checksum over checksums is none of them.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(300), [0xac, 0x02]);
    }

    #[test]
    fn checksums_are_tensorflows() {
        // How every file that TensorFlow writes begins: a record of 24 bytes, and the length's checksum.
        assert_eq!(masked_checksum(&24_u64.to_le_bytes()).to_le_bytes(), *b"\xa3\x7fK\"");
    }
}
