//! A scan: which components it holds, and in which order their blocks come (ITU-T T.81, annexes A.2 and B.2.3).

use super::bits::Bits;
use super::frame::Frame;
use super::reader::Segment;
use super::{ImageError, corrupt, truncated};

/// The most blocks in a unit of an interleaved scan.
const MOST_BLOCKS: usize = 10;

/// The header of a scan.
pub struct Scan {
    /// One to four components.
    pub parts: Vec<Part>,
    /// The first coefficient in zigzag order.
    pub first: u8,
    /// The last coefficient in zigzag order.
    pub last: u8,
    /// The bit, counted from the lowest, that the scan before ended with; 0 where this is the first.
    pub high_bit: u8,
    /// The lowest bit that this scan brings.
    pub low_bit: u8,
}

/// A component in a scan.
pub struct Part {
    /// Where it stands in the frame.
    pub component: usize,
    /// The place of its Huffman table for DC coefficients.
    pub dc: u8,
    /// The place of its Huffman table for AC coefficients.
    pub ac: u8,
}

/// Where a block belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where the component stands in the scan.
    pub part: usize,
    /// In blocks from the left.
    pub column: usize,
    /// In blocks from above.
    pub row: usize,
}

/// Makes coefficients of bits.
pub trait Decoder {
    /// Forgets what the blocks before have left.
    fn restart(&mut self);
    /// Reads a block.
    fn block(&mut self, bits: &mut Bits, place: Place);
}

impl Scan {
    /// Reads the header of a scan.
    pub fn new(mut segment: Segment, frame: &Frame) -> Result<Self, ImageError> {
        let count = segment.byte()?;
        if !(1..=4).contains(&count) {
            return Err(corrupt(format!("a scan of {count} components, not 1 to 4")));
        }
        let mut parts: Vec<Part> = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (id, tables) = (segment.byte()?, segment.byte()?);
            // Of components with the same name, each is meant once.
            let component = (0..frame.components.len())
                .find(|&at| frame.components[at].id == id && parts.get(at).is_none())
                .filter(|&at| parts.iter().all(|part| part.component != at))
                .ok_or_else(|| corrupt(format!("a scan names component {id}, which the frame has not")))?;
            parts.push(Part { component, dc: tables >> 4, ac: tables & 15 });
        }
        let (first, last, bits) = (segment.byte()?, segment.byte()?, segment.byte()?);
        segment.finish()?;
        let scan = Self { parts, first, last, high_bit: bits >> 4, low_bit: bits & 15 };
        let blocks = |part: &Part| {
            let component = &frame.components[part.component];
            component.horizontal * component.vertical
        };
        if scan.is_interleaved() && scan.parts.iter().map(blocks).sum::<usize>() > MOST_BLOCKS {
            return Err(corrupt(format!("more than {MOST_BLOCKS} blocks in a unit of a scan")));
        }
        Ok(scan)
    }

    /// Reads all blocks; gives the last row of interleaved units that began before data ran out.
    pub fn read(
        &self,
        frame: &Frame,
        restart_interval: usize,
        bits: &mut Bits,
        decoder: &mut impl Decoder,
    ) -> Result<usize, ImageError> {
        let alone = &frame.components[self.parts[0].component];
        let (columns, rows, rows_a_unit) = match self.is_interleaved() {
            true => (frame.units().0, frame.units().1, 1),
            false => (alone.columns, alone.rows, alone.vertical),
        };
        let mut last_good_row = 0;
        let mut until_restart = restart_interval;
        for row in 0..rows {
            for column in 0..columns {
                if restart_interval > 0 {
                    if until_restart == 0 {
                        bits.restart()?;
                        decoder.restart();
                        until_restart = restart_interval;
                    }
                    until_restart -= 1;
                }
                if bits.exhausted {
                    if restart_interval == 0 {
                        return Ok(last_good_row);
                    }
                    continue;
                }
                last_good_row = row / rows_a_unit;
                self.unit(frame, column, row, |place| decoder.block(bits, place));
                if bits.is_truncated() {
                    return Err(truncated(bits.reader.bytes));
                }
            }
        }
        Ok(last_good_row)
    }

    fn is_interleaved(&self) -> bool {
        self.parts.len() > 1
    }

    /// Goes through the blocks of a unit.
    #[inline(always)]
    fn unit(&self, frame: &Frame, column: usize, row: usize, mut block: impl FnMut(Place)) {
        if !self.is_interleaved() {
            return block(Place { part: 0, column, row });
        }
        for (part, &Part { component, .. }) in self.parts.iter().enumerate() {
            let component = &frame.components[component];
            for down in 0..component.vertical {
                for across in 0..component.horizontal {
                    block(Place {
                        part,
                        column: column * component.horizontal + across,
                        row: row * component.vertical + down,
                    });
                }
            }
        }
    }
}
