//! The bits of a scan: stuffed zeros taken out, zeros put in where a segment ends too early.
//!
//! Behaves at damaged places as libjpeg-turbo does, which goes on with zeros to the next restart:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdhuff.c#L289>,
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdmarker.c#L1179>

use super::ImageError;
use super::reader::Reader;

const RESTART_0: u8 = 0xd0;

/// The scan from its next bit on.
pub struct Bits<'a> {
    /// What is not in the buffer yet.
    pub reader: Reader<'a>,
    /// Whether more bits were asked for than the segment has.
    pub exhausted: bool,
    /// The next bit is the highest; behind `count` bits there are zeros.
    buffer: u64,
    count: u32,
    next_restart: u8,
}

impl<'a> Bits<'a> {
    /// Begins where the scan's header ends.
    pub fn new(reader: Reader<'a>) -> Self {
        Self { reader, exhausted: false, buffer: 0, count: 0, next_restart: 0 }
    }

    /// Whether bits were missing because the file ends, not because a marker stands there.
    pub fn is_truncated(&self) -> bool {
        self.exhausted && self.reader.marker.is_none()
    }

    /// Whether libjpeg-turbo, which fills a buffer of 57 bits where a marker does not keep it from it,
    /// could surely do so once more.
    pub fn is_ample(&self) -> bool {
        let bytes_left = self.reader.bytes.len() - self.reader.at;
        self.reader.marker.is_some() || self.count as usize + 8 * bytes_left >= 57
    }

    /// The next bits, at least 32 of them (the rest zeros), the first one highest.
    #[inline(always)]
    pub fn peek(&mut self) -> u64 {
        if self.count < 32 {
            self.refill();
        }
        self.buffer
    }

    /// Passes over bits, of which a peek has shown at least this many.
    #[inline(always)]
    pub fn skip(&mut self, count: u32) {
        self.buffer <<= count;
        if count > self.count {
            self.exhausted = true;
            self.count = 0;
        } else {
            self.count -= count;
        }
    }

    /// The next 1 to 16 bits as a number.
    #[inline(always)]
    pub fn take(&mut self, count: u32) -> u32 {
        let value = (self.peek() >> (64 - count)) as u32;
        self.skip(count);
        value
    }

    /// Begins the next restart interval: behind its marker, or in an empty one if the marker is lost.
    pub fn restart(&mut self) -> Result<(), ImageError> {
        self.buffer = 0;
        self.count = 0;
        let wanted = self.next_restart;
        self.next_restart = (wanted + 1) & 7;
        loop {
            let code = self.reader.next_marker()?;
            match code.wrapping_sub(RESTART_0) {
                number if number == wanted => break,
                // One or two have been lost: theirs are the empty intervals from here to there.
                number @ 0..8 if matches!(number.wrapping_sub(wanted) & 7, 1 | 2) => {
                    self.reader.marker = Some(code);
                    return Ok(());
                }
                // One that is late.
                number @ 0..8 if matches!(wanted.wrapping_sub(number) & 7, 1 | 2) => {}
                0..8 => break,
                // Not a marker that there is.
                _ if code < 0xc0 => {}
                // The scan ends here.
                _ => {
                    self.reader.marker = Some(code);
                    return Ok(());
                }
            }
        }
        self.exhausted = false;
        Ok(())
    }

    /// Fills the buffer with whole bytes, as many as there are and have room.
    #[inline]
    fn refill(&mut self) {
        let next = self.reader.bytes.get(self.reader.at..).and_then(|rest| rest.first_chunk::<8>());
        if let (Some(next), None) = (next, self.reader.marker) {
            let word = u64::from_be_bytes(*next);
            if lacks_ff(word) {
                let bytes = (64 - self.count) / 8;
                self.buffer |= word >> self.count;
                self.count += bytes * 8;
                self.buffer &= !0 << (64 - self.count);
                self.reader.at += bytes as usize;
                return;
            }
        }
        self.refill_bytewise();
    }

    #[cold]
    fn refill_bytewise(&mut self) {
        while self.count <= 56 && self.reader.marker.is_none() {
            let Some(&first) = self.reader.bytes.get(self.reader.at) else { return };
            self.reader.at += 1;
            if first == 0xff {
                let rest = &self.reader.bytes[self.reader.at..];
                let Some(fill) = rest.iter().position(|&byte| byte != 0xff) else {
                    self.reader.at = self.reader.bytes.len();
                    return;
                };
                self.reader.at += fill + 1;
                if rest[fill] != 0 {
                    self.reader.marker = Some(rest[fill]);
                    return;
                }
            }
            self.buffer |= u64::from(first) << (56 - self.count);
            self.count += 8;
        }
    }
}

/// Whether surely none of the eight bytes is 0xff.
fn lacks_ff(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let inverse = !word;
    inverse.wrapping_sub(LOW) & !inverse & (LOW << 7) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bytes: &[u8]) -> Bits<'_> {
        Bits::new(Reader { bytes, at: 0, marker: None })
    }

    #[test]
    fn takes_stuffed_zeros_out_and_halts_at_a_marker() {
        let mut bits = bits(&[0x12, 0xff, 0x00, 0x34, 0xff, 0xff, 0xd9, 0x56]);
        assert_eq!([bits.take(8), bits.take(8), bits.take(8)], [0x12, 0xff, 0x34]);
        assert!(!bits.exhausted, "no more was asked for than there is");
        assert_eq!(bits.take(8), 0);
        assert!(bits.exhausted && !bits.is_truncated());
        assert_eq!(bits.reader.marker, Some(0xd9));
    }

    #[test]
    fn knows_the_end_of_the_file_from_a_marker() {
        let mut bits = bits(&[0x12, 0xff]);
        assert_eq!(bits.take(16), 0x1200);
        assert!(bits.is_truncated());
    }

    #[test]
    fn eight_bytes_at_once_are_those_one_by_one() {
        let bytes: Vec<u8> = (0..200).map(|at: u8| at.wrapping_mul(151) & 0xfe).collect();
        let (mut many, mut one) = (bits(&bytes), bits(&bytes));
        for count in (1..=16).cycle().take(180) {
            many.peek();
            one.refill_bytewise();
            assert_eq!(many.take(count), one.take(count));
        }
    }

    #[test]
    fn finds_restarts_that_were_displaced() {
        let restart = |code: u8| {
            let bytes = [1, 2, 0xff, code, 0x77, 0xff, 0xd1, 0x55, 0, 0, 0, 0, 0, 0, 0, 0];
            let mut bits = bits(&bytes);
            bits.restart().unwrap();
            (bits.reader.marker, bits.reader.at, bits.peek() >> 56)
        };
        assert_eq!(restart(0xd0), (None, 4, 0x77), "the one that is due");
        assert_eq!(restart(0xd2), (Some(0xd2), 4, 0), "one too early: an empty interval");
        assert_eq!(restart(0xd7), (Some(0xd1), 7, 0), "one too late: on to the next");
        assert_eq!(restart(0xd4), (None, 4, 0x77), "one from nowhere: as if it were right");
        assert_eq!(restart(0x05), (Some(0xd1), 7, 0), "no marker: on to the next");
        assert_eq!(restart(0xd9), (Some(0xd9), 4, 0), "the end");
    }
}
