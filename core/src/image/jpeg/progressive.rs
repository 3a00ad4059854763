//! Blocks whose coefficients come in several scans, each with more of their bits (ITU-T T.81, annex G).
//!
//! Scans that contradict each other are read as libjpeg-turbo reads them:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdphuff.c>

use super::bits::Bits;
use super::coefficients::Coefficients;
use super::header::Header;
use super::huffman::{Table, signed};
use super::scan::{Decoder, Place, Scan};
use super::{ImageError, ZIGZAG, corrupt};

/// The highest bit that a scan may end with.
const MOST_LOW_BIT: u8 = 13;

/// What the blocks of a scan have in common.
pub struct Progressive<'a> {
    coefficients: &'a mut [Coefficients],
    components: Vec<usize>,
    pass: Pass,
    low_bit: u8,
    /// Of the band, in zigzag order.
    first: usize,
    last: usize,
    /// Blocks, this one included, whose band has no new coefficients any more.
    run: u32,
}

/// What a scan brings.
enum Pass {
    /// The upper bits of DC coefficients: tables and the coefficient of the block before, by part.
    FirstDc(Vec<(Table, i32)>),
    /// One more bit of DC coefficients.
    RefineDc,
    /// The upper bits of a band of AC coefficients.
    FirstAc(Table),
    /// One more bit of a band of AC coefficients.
    RefineAc(Table),
}

impl<'a> Progressive<'a> {
    /// Checks a scan and finds its tables.
    pub fn new(
        scan: &Scan,
        header: &Header,
        coefficients: &'a mut [Coefficients],
    ) -> Result<Self, ImageError> {
        let is_band = if scan.first == 0 {
            scan.last == 0
        } else {
            scan.first <= scan.last && scan.last < 64 && scan.parts.len() == 1
        };
        let is_next_bit = scan.high_bit == 0 || scan.low_bit + 1 == scan.high_bit;
        if !is_band || !is_next_bit || scan.low_bit > MOST_LOW_BIT {
            return Err(corrupt(format!(
                "a progressive scan of coefficients {} to {}, bits {} to {}",
                scan.first, scan.last, scan.high_bit, scan.low_bit
            )));
        }
        let pass = match (scan.first, scan.high_bit) {
            (0, 0) => {
                let tables = scan.parts.iter().map(|part| Ok((header.huffman.dc(part.dc)?, 0)));
                Pass::FirstDc(tables.collect::<Result<_, ImageError>>()?)
            }
            (0, _) => Pass::RefineDc,
            (_, 0) => Pass::FirstAc(header.huffman.ac(scan.parts[0].ac)?),
            _ => Pass::RefineAc(header.huffman.ac(scan.parts[0].ac)?),
        };
        Ok(Self {
            coefficients,
            components: scan.parts.iter().map(|part| part.component).collect(),
            pass,
            low_bit: scan.low_bit,
            first: scan.first.into(),
            last: scan.last.into(),
            run: 0,
        })
    }
}

impl Decoder for Progressive<'_> {
    fn restart(&mut self) {
        self.run = 0;
        if let Pass::FirstDc(parts) = &mut self.pass {
            for (_, before) in parts {
                *before = 0;
            }
        }
    }

    fn block(&mut self, bits: &mut Bits, place: Place) {
        let block = self.coefficients[self.components[place.part]].block_mut(place.column, place.row);
        let band = (self.first, self.last);
        match &mut self.pass {
            Pass::FirstDc(parts) => {
                let (table, before) = &mut parts[place.part];
                let size = table.symbol(bits);
                *before = before.wrapping_add(signed(bits, size.into()));
                block[0] = (*before << self.low_bit) as i16;
            }
            Pass::RefineDc => block[0] |= (bits.take(1) << self.low_bit) as i16,
            Pass::FirstAc(_) if self.run > 0 => self.run -= 1,
            Pass::FirstAc(table) => self.run = first_ac(bits, table, block, band, self.low_bit),
            Pass::RefineAc(table) => {
                self.run = refine_ac(bits, table, block, band, 1 << self.low_bit, self.run);
            }
        }
    }
}

/// Reads the upper bits of a band; gives how many blocks after this one have none.
fn first_ac(bits: &mut Bits, table: &Table, block: &mut [i16; 64], band: (usize, usize), low_bit: u8) -> u32 {
    let (mut at, last) = band;
    while at <= last {
        let symbol = table.symbol(bits);
        let (zeros, size) = (symbol >> 4, u32::from(symbol & 15));
        match (zeros, size) {
            (15, 0) => at += 16,
            (_, 0) => return run_length(bits, zeros) - 1,
            _ => {
                at += usize::from(zeros);
                block[usize::from(ZIGZAG[at])] = (signed(bits, size) << low_bit) as i16;
                at += 1;
            }
        }
    }
    0
}

/// Reads one more bit of a band; gives how many blocks after this one have no new coefficients.
fn refine_ac(
    bits: &mut Bits,
    table: &Table,
    block: &mut [i16; 64],
    band: (usize, usize),
    bit: i16,
    mut run: u32,
) -> u32 {
    let (mut at, last) = band;
    while run == 0 && at <= last {
        let symbol = table.symbol(bits);
        let (zeros, size) = (symbol >> 4, symbol & 15);
        let new = match (zeros, size) {
            (15, 0) => 0,
            (_, 0) => {
                run = run_length(bits, zeros);
                break;
            }
            _ if bits.take(1) == 1 => bit,
            _ => -bit,
        };
        // Past coefficients that are there already, and as many zeros as the symbol says.
        let mut zeros = zeros;
        while at <= last {
            let coefficient = &mut block[usize::from(ZIGZAG[at])];
            if *coefficient != 0 {
                correct(bits, coefficient, bit);
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            at += 1;
        }
        if new != 0 {
            block[usize::from(ZIGZAG[at])] = new;
        }
        at += 1;
    }
    if run == 0 {
        return 0;
    }
    while at <= last {
        let coefficient = &mut block[usize::from(ZIGZAG[at])];
        if *coefficient != 0 {
            correct(bits, coefficient, bit);
        }
        at += 1;
    }
    run - 1
}

/// How many blocks, this one included, have an end of band here.
fn run_length(bits: &mut Bits, size: u8) -> u32 {
    let more = if size == 0 { 0 } else { bits.take(size.into()) };
    (1 << size) + more
}

/// Moves a coefficient away from zero if the next bit says so.
#[inline(always)]
fn correct(bits: &mut Bits, coefficient: &mut i16, bit: i16) {
    if bits.take(1) == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { bit } else { -bit });
    }
}
