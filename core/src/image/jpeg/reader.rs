//! The bytes of the file, walked from marker to marker (ITU-T T.81, annex B).

use super::{ImageError, corrupt, truncated};

/// A place in the file.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// The next byte.
    pub at: usize,
    /// The code of a marker that was met and is still to be heeded.
    pub marker: Option<u8>,
}

impl<'a> Reader<'a> {
    /// Begins behind the marker that every file begins with, which the caller has seen.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2, marker: None }
    }

    /// The code of the next marker; what lies before it is passed over.
    pub fn next_marker(&mut self) -> Result<u8, ImageError> {
        if let Some(code) = self.marker.take() {
            return Ok(code);
        }
        loop {
            while self.byte()? != 0xff {}
            let mut code = self.byte()?;
            while code == 0xff {
                code = self.byte()?;
            }
            if code != 0 {
                return Ok(code);
            }
        }
    }

    /// The body of the segment whose marker was read: its length counts its own two bytes.
    pub fn segment(&mut self) -> Result<Segment<'a>, ImageError> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        let body = length.saturating_sub(2);
        let rest = self.bytes.get(self.at..self.at + body).ok_or_else(|| truncated(self.bytes))?;
        self.at += body;
        Ok(Segment { rest })
    }

    fn byte(&mut self) -> Result<u8, ImageError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| truncated(self.bytes))?;
        self.at += 1;
        Ok(byte)
    }
}

/// What is left of a segment.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Bytes that were not taken yet.
    pub rest: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], ImageError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| corrupt("a segment is too short"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, ImageError> {
        Ok(self.take(1)?[0])
    }

    /// The next two bytes, the high one first.
    pub fn pair(&mut self) -> Result<u16, ImageError> {
        let pair = self.take(2)?;
        Ok(u16::from_be_bytes([pair[0], pair[1]]))
    }

    /// Refuses a segment that says more than it should.
    pub fn finish(self) -> Result<(), ImageError> {
        if self.rest.is_empty() { Ok(()) } else { Err(corrupt("a segment is too long")) }
    }
}
