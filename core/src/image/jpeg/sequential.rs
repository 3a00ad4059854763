//! Blocks that come whole, in one scan (ITU-T T.81, annex F.2).

use super::bits::Bits;
use super::coefficients::Coefficients;
use super::frame::Frame;
use super::header::Header;
use super::huffman::{Table, signed};
use super::idct::inverse;
use super::plane::Plane;
use super::scan::{Decoder, Place, Scan};
use super::{ImageError, ZIGZAG};

/// What the blocks of a scan have in common.
pub struct Sequential {
    parts: Vec<PartState>,
}

struct PartState {
    component: usize,
    dc: Table,
    ac: Table,
    /// The DC coefficient of the block before.
    before: i32,
}

impl Sequential {
    /// Finds the tables of a scan.
    pub fn new(scan: &Scan, header: &Header) -> Result<Self, ImageError> {
        let part = |part: &super::scan::Part| {
            let (dc, ac) = (header.huffman.dc(part.dc)?, header.huffman.ac(part.ac)?);
            Ok(PartState { component: part.component, dc, ac, before: 0 })
        };
        Ok(Self { parts: scan.parts.iter().map(part).collect::<Result<_, _>>()? })
    }

    fn restart(&mut self) {
        for part in &mut self.parts {
            part.before = 0;
        }
    }

    /// Reads a block of zeros; gives its component.
    #[inline(always)]
    fn block(&mut self, bits: &mut Bits, part: usize, block: &mut [i16; 64]) -> usize {
        let part = &mut self.parts[part];
        let size = part.dc.symbol(bits);
        part.before = part.before.wrapping_add(signed(bits, size.into()));
        block[0] = part.before as i16;
        let mut at = 1;
        while at < 64 {
            if let Some(short) = part.ac.short(bits) {
                at += usize::from(short.zeros);
                block[usize::from(ZIGZAG[at])] = short.value;
                at += 1;
                continue;
            }
            let symbol = part.ac.symbol(bits);
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if size == 0 {
                if zeros < 15 {
                    break;
                }
                at += 16;
                continue;
            }
            at += zeros;
            block[usize::from(ZIGZAG[at])] = signed(bits, size) as i16;
            at += 1;
        }
        part.component
    }
}

/// Makes samples of every block at once: for files of one scan.
pub struct AtOnce<'a> {
    /// The blocks.
    pub sequential: Sequential,
    /// Says by which steps coefficients are multiplied.
    pub frame: &'a Frame,
    /// Where samples go, by component.
    pub planes: &'a mut [Plane],
}

impl Decoder for AtOnce<'_> {
    fn restart(&mut self) {
        self.sequential.restart();
    }

    fn block(&mut self, bits: &mut Bits, place: Place) {
        let mut block = [0; 64];
        let component = self.sequential.block(bits, place.part, &mut block);
        let steps = self.frame.components[component].steps.as_ref().unwrap_or(&[0; 64]);
        self.planes[component].put(place.column, place.row, &inverse(&block, steps));
    }
}

/// Keeps coefficients: for files whose components come one after the other.
pub struct Kept<'a> {
    /// The blocks.
    pub sequential: Sequential,
    /// Where they go, by component.
    pub coefficients: &'a mut [Coefficients],
}

impl Decoder for Kept<'_> {
    fn restart(&mut self) {
        self.sequential.restart();
    }

    fn block(&mut self, bits: &mut Bits, place: Place) {
        let component = self.sequential.parts[place.part].component;
        let block = self.coefficients[component].block_mut(place.column, place.row);
        self.sequential.block(bits, place.part, block);
    }
}
