//! What stands before and between scans: tables, the frame, and what tells how colours are meant.

use super::frame::Frame;
use super::huffman::Tables;
use super::reader::{Reader, Segment};
use super::scan::Scan;
use super::{ImageError, ZIGZAG, corrupt, unsupported};

/// Begins a segment of XMP.
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// A quantisation table in natural order.
type Steps = [i16; 64];

/// All that the segments so far have said.
#[derive(Default)]
pub struct Header<'a> {
    /// The Huffman tables.
    pub huffman: Tables<'a>,
    /// Units between two restart markers; 0 where there are none.
    pub restart_interval: usize,
    /// Whether the file says that it is JFIF.
    pub jfif: bool,
    /// The transform of colours that Adobe's segment names.
    pub adobe: Option<u8>,
    /// The first EXIF block before the pixels, without its name.
    pub exif: Option<&'a [u8]>,
    /// The first XMP packet before the pixels, without its name.
    pub xmp: Option<&'a [u8]>,
    /// Absent until its segment has come.
    frame: Option<Frame>,
    steps: [Option<Steps>; 4],
}

/// Where reading has halted.
pub enum Stop {
    /// Behind the header of a scan.
    Scan(Scan),
    /// At the end of the picture.
    End,
}

impl<'a> Header<'a> {
    /// Reads segments up to the next scan or the end.
    pub fn advance(&mut self, reader: &mut Reader<'a>) -> Result<Stop, ImageError> {
        loop {
            match reader.next_marker()? {
                0xd9 => return Ok(Stop::End),
                0xda => {
                    let frame =
                        self.frame.as_ref().ok_or_else(|| corrupt("a scan stands before the frame"))?;
                    return Ok(Stop::Scan(Scan::new(reader.segment()?, frame)?));
                }
                code @ 0xc0..=0xc2 => {
                    if self.frame.is_some() {
                        return Err(corrupt("a second frame"));
                    }
                    self.frame = Some(Frame::new(reader.segment()?, code == 0xc2)?);
                }
                0xc4 => self.huffman.define(reader.segment()?)?,
                0xdb => self.define_steps(reader.segment()?)?,
                0xdd => {
                    let mut segment = reader.segment()?;
                    self.restart_interval = usize::from(segment.pair()?);
                    segment.finish()?;
                }
                0xe0 => self.jfif |= is_jfif(reader.segment()?.rest),
                0xe1 => {
                    let body = reader.segment()?.rest;
                    self.exif = self.exif.or(body.strip_prefix(b"Exif\0\0"));
                    self.xmp = self.xmp.or(body.strip_prefix(XMP));
                }
                0xee => self.adobe = adobe_transform(reader.segment()?.rest).or(self.adobe),
                // Restarts that no scan took, and a marker for the encoder's own use, stand alone.
                0x01 | 0xd0..=0xd7 => {}
                // The arithmetic coder's table, lines counted afterwards, applications' own, comments.
                0xcc | 0xdc | 0xe2..=0xed | 0xef | 0xfe => drop(reader.segment()?),
                code => return Err(refuse(code)),
            }
        }
    }

    /// The frame.
    ///
    /// # Panics
    /// No scan was met yet: one before its frame is refused.
    pub fn frame(&self) -> &Frame {
        self.frame.as_ref().expect("a scan comes after its frame")
    }

    /// Gives the components of a scan, where it is their first, the tables that stand now.
    pub fn latch_steps(&mut self, scan: &Scan) -> Result<(), ImageError> {
        let Some(frame) = &mut self.frame else { return Ok(()) };
        for part in &scan.parts {
            let component = &mut frame.components[part.component];
            let place = component.quantisation;
            if component.steps.is_none() {
                let steps = self.steps.get(usize::from(place)).copied().flatten();
                component.steps = Some(steps.ok_or_else(|| {
                    corrupt(format!("quantisation table {place} is named, and there is none"))
                })?);
            }
        }
        Ok(())
    }

    fn define_steps(&mut self, mut segment: Segment) -> Result<(), ImageError> {
        while !segment.rest.is_empty() {
            let head = segment.byte()?;
            let place = usize::from(head & 15);
            let slot = self.steps.get_mut(place).ok_or_else(|| corrupt("a fifth quantisation table"))?;
            let steps = slot.insert([0; 64]);
            for position in &ZIGZAG[..64] {
                let step = if head >> 4 == 0 { segment.byte()?.into() } else { segment.pair()? };
                steps[usize::from(*position)] = step.cast_signed();
            }
        }
        Ok(())
    }
}

fn is_jfif(body: &[u8]) -> bool {
    body.len() >= 14 && body.starts_with(b"JFIF\0")
}

fn adobe_transform(body: &[u8]) -> Option<u8> {
    if body.starts_with(b"Adobe") { body.get(11).copied() } else { None }
}

/// The error for a marker that is not read here.
fn refuse(code: u8) -> ImageError {
    let kind = match code {
        0xc3 => "lossless JPEG",
        0xc5..=0xc7 => "hierarchical JPEG",
        0xc9 | 0xca => "arithmetic coding",
        0xcb => "lossless JPEG with arithmetic coding",
        0xcd..=0xcf => "hierarchical JPEG with arithmetic coding",
        0xd8 => return corrupt("a second picture begins inside the first"),
        _ => return corrupt(format!("a marker that there is not: ff{code:02x}")),
    };
    unsupported(format!("{kind} is not supported, only baseline, extended and progressive Huffman coding"))
}
