//! Huffman tables (ITU-T T.81, annexes C and F.2.2), and the usual ones of its annex K.3.

use super::bits::Bits;
use super::reader::Segment;
use super::{ImageError, corrupt};

/// Codes up to this length are found at one look.
const LOOK_BITS: u32 = 9;

/// What the bits of a code mean.
pub struct Table {
    /// By the next [`LOOK_BITS`] bits: length of the code and its symbol, or 0 where the code is longer.
    lookup: [(u8, u8); 1 << LOOK_BITS],
    /// By the next [`LOOK_BITS`] bits: an AC coefficient, where its bits come within those as well.
    short: [Short; 1 << LOOK_BITS],
    /// By length, the largest code, or -1.
    largest: [i32; 18],
    /// By length, what leads from a code to its symbol.
    offset: [i32; 18],
    symbols: [u8; 256],
}

/// A coefficient whose code and bits are few.
#[derive(Debug, Clone, Copy, Default)]
pub struct Short {
    /// Of code and bits together; 0 where they are not few.
    pub length: u8,
    /// Coefficients that are zero before it.
    pub zeros: u8,
    /// The coefficient.
    pub value: i16,
}

impl Table {
    /// Builds the codes from how many there are of each length, and their symbols.
    pub fn new(counts: &[u8; 16], of: &[u8]) -> Result<Self, ImageError> {
        let mut symbols = [0; 256];
        symbols.get_mut(..of.len()).ok_or_else(|| bad("more than 256 codes"))?.copy_from_slice(of);
        let mut table = Self {
            lookup: [(0, 0); 1 << LOOK_BITS],
            short: [Short::default(); 1 << LOOK_BITS],
            largest: [-1; 18],
            offset: [0; 18],
            symbols,
        };
        // Ends every search: no code has 17 bits.
        table.largest[17] = i32::MAX;
        let (mut code, mut index) = (0_i32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code;
            for _ in 0..count {
                if length <= LOOK_BITS {
                    let first = (code as usize) << (LOOK_BITS - length);
                    let entries = table.lookup.get_mut(first..first + (1 << (LOOK_BITS - length)));
                    entries.ok_or_else(|| bad("more codes than fit"))?.fill((length as u8, symbols[index]));
                }
                code += 1;
                index += 1;
            }
            if count > 0 {
                table.largest[length as usize] = code - 1;
                // No code consists of ones alone.
                if code >= 1 << length {
                    return Err(bad("more codes than fit"));
                }
            }
            code <<= 1;
        }
        for (next, short) in table.short.iter_mut().enumerate() {
            let (length, symbol) = table.lookup[next];
            let size = u32::from(symbol & 15);
            let all = u32::from(length) + size;
            if length > 0 && size > 0 && all <= LOOK_BITS {
                let bits = (next >> (LOOK_BITS - all)) as i32 & ((1 << size) - 1);
                *short = Short { length: all as u8, zeros: symbol >> 4, value: extend(bits, size) as i16 };
            }
        }
        Ok(table)
    }

    /// The next AC coefficient, if it is found at one look; its bits are passed over.
    #[inline(always)]
    pub fn short(&self, bits: &mut Bits) -> Option<Short> {
        let short = self.short[(bits.peek() >> (64 - LOOK_BITS)) as usize];
        if short.length == 0 {
            return None;
        }
        bits.skip(u32::from(short.length));
        Some(short)
    }

    /// The next symbol; 0 where the bits are no code.
    #[inline(always)]
    pub fn symbol(&self, bits: &mut Bits) -> u8 {
        let next = bits.peek();
        let (length, symbol) = self.lookup[(next >> (64 - LOOK_BITS)) as usize];
        if length > 0 {
            bits.skip(u32::from(length));
            return symbol;
        }
        self.long_symbol(next, bits)
    }

    #[cold]
    fn long_symbol(&self, next: u64, bits: &mut Bits) -> u8 {
        let mut length = LOOK_BITS + 1;
        while (next >> (64 - length)) as i32 > self.largest[length as usize] {
            length += 1;
        }
        bits.skip(length);
        if length > 16 {
            return 0;
        }
        let index = (next >> (64 - length)) as i32 + self.offset[length as usize];
        self.symbols[index as usize & 0xff]
    }
}

/// The number that `size` bits mean (T.81, figure F.12).
#[inline(always)]
pub fn signed(bits: &mut Bits, size: u32) -> i32 {
    if size == 0 {
        return 0;
    }
    extend(bits.take(size) as i32, size)
}

/// Numbers that begin with a zero are negative.
#[inline(always)]
fn extend(value: i32, size: u32) -> i32 {
    if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value }
}

/// The tables that the file has named so far.
#[derive(Default)]
pub struct Tables<'a> {
    dc: [Option<Definition<'a>>; 4],
    ac: [Option<Definition<'a>>; 4],
}

/// How many codes there are of each length, and their symbols.
type Definition<'a> = (&'a [u8; 16], &'a [u8]);

impl<'a> Tables<'a> {
    /// Reads the tables of a segment.
    pub fn define(&mut self, mut segment: Segment<'a>) -> Result<(), ImageError> {
        while segment.rest.len() > 16 {
            let place = segment.byte()?;
            let counts: &[u8; 16] = segment.take(16)?.try_into().expect("sixteen bytes were taken");
            let symbols = segment.take(counts.iter().map(|&count| usize::from(count)).sum())?;
            let tables = if place & 0x10 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(place & !0x10)).ok_or_else(|| bad("a fifth place"))?;
            *slot = Some((counts, symbols));
        }
        segment.finish()
    }

    /// Puts the usual tables where none are: frames of Motion JPEG leave them out.
    pub fn complete(&mut self) {
        for slot in 0..2 {
            self.dc[slot].get_or_insert((&USUAL_DC_COUNTS[slot], &USUAL_DC));
            self.ac[slot].get_or_insert((&USUAL_AC_COUNTS[slot], &USUAL_AC[slot]));
        }
    }

    /// The table of a place for DC coefficients, whose symbols are lengths of differences.
    pub fn dc(&self, place: u8) -> Result<Table, ImageError> {
        let (counts, symbols) = find(&self.dc, place)?;
        if symbols.iter().any(|&symbol| symbol > 15) {
            return Err(bad("a difference of more than 15 bits"));
        }
        Table::new(counts, symbols)
    }

    /// The table of a place for AC coefficients.
    pub fn ac(&self, place: u8) -> Result<Table, ImageError> {
        let (counts, symbols) = find(&self.ac, place)?;
        Table::new(counts, symbols)
    }
}

fn find<'a>(tables: &[Option<Definition<'a>>; 4], place: u8) -> Result<Definition<'a>, ImageError> {
    let table = tables.get(usize::from(place)).copied().flatten();
    table.ok_or_else(|| corrupt(format!("Huffman table {place} is named, and there is none")))
}

fn bad(what: &str) -> ImageError {
    corrupt(format!("bad Huffman table: {what}"))
}

const USUAL_DC: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
const USUAL_DC_COUNTS: [[u8; 16]; 2] =
    [[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], [0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]];
const USUAL_AC_COUNTS: [[u8; 16]; 2] = [
    [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7d],
    [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
];
const USUAL_AC: [[u8; 162]; 2] = [
    [
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22,
        0x71, 0x14, 0x32, 0x81, 0x91, 0xa1, 0x08, 0x23, 0x42, 0xb1, 0xc1, 0x15, 0x52, 0xd1, 0xf0, 0x24, 0x33,
        0x62, 0x72, 0x82, 0x09, 0x0a, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x34,
        0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54, 0x55,
        0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75, 0x76,
        0x77, 0x78, 0x79, 0x7a, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94, 0x95, 0x96,
        0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3, 0xb4, 0xb5,
        0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2, 0xd3, 0xd4,
        0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe1, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea, 0xf1,
        0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
    [
        0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13,
        0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xa1, 0xb1, 0xc1, 0x09, 0x23, 0x33, 0x52, 0xf0, 0x15, 0x62,
        0x72, 0xd1, 0x0a, 0x16, 0x24, 0x34, 0xe1, 0x25, 0xf1, 0x17, 0x18, 0x19, 0x1a, 0x26, 0x27, 0x28, 0x29,
        0x2a, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4a, 0x53, 0x54,
        0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x73, 0x74, 0x75,
        0x76, 0x77, 0x78, 0x79, 0x7a, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x92, 0x93, 0x94,
        0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xb2, 0xb3,
        0xb4, 0xb5, 0xb6, 0xb7, 0xb8, 0xb9, 0xba, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8, 0xc9, 0xca, 0xd2,
        0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xd9, 0xda, 0xe2, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0xea,
        0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa,
    ],
];

#[cfg(test)]
mod tests {
    use super::super::reader::Reader;
    use super::*;

    fn bits(bytes: &[u8]) -> Bits<'_> {
        Bits::new(Reader { bytes, at: 0, marker: None })
    }

    #[test]
    fn reads_short_and_long_codes() {
        // One code of 1 bit (0), one of 12 bits (1000 0000 0000).
        let mut counts = [0; 16];
        (counts[0], counts[11]) = (1, 1);
        let table = Table::new(&counts, &[7, 9]).unwrap();
        let mut bits = bits(&[0b0100_0000, 0b0000_0011, 0x6e]);
        assert_eq!(table.symbol(&mut bits), 7);
        assert_eq!(table.symbol(&mut bits), 9);
        assert_eq!(bits.take(3), 0b011, "the bits behind it");
        assert_eq!(table.symbol(&mut bits), 7);
    }

    #[test]
    fn bits_that_are_no_code_mean_zero() {
        let mut counts = [0; 16];
        counts[0] = 1;
        let table = Table::new(&counts, &[7]).unwrap();
        let mut bits = bits(&[0xfe; 4]);
        assert_eq!(table.symbol(&mut bits), 0);
    }

    #[test]
    fn a_coefficient_at_one_look_is_that_of_two() {
        let (counts, symbols) = (&USUAL_AC_COUNTS[0], &USUAL_AC[0]);
        let table = Table::new(counts, symbols).unwrap();
        let mut found = 0;
        for first in 0..=u16::MAX {
            let [high, low] = first.to_be_bytes();
            if high == 0xff || low == 0xff {
                continue;
            }
            let bytes = [high, low, 0, 0];
            let (mut at_once, mut in_turn) = (bits(&bytes), bits(&bytes));
            if let Some(short) = table.short(&mut at_once) {
                let symbol = table.symbol(&mut in_turn);
                let value = signed(&mut in_turn, u32::from(symbol & 15));
                assert_eq!((short.zeros, i32::from(short.value)), (symbol >> 4, value), "{first:016b}");
                assert_eq!(at_once.peek(), in_turn.peek(), "{first:016b}");
                found += 1;
            }
        }
        assert!(found > 30_000, "{found}");
    }

    #[test]
    fn refuses_more_codes_than_fit() {
        let mut counts = [0; 16];
        counts[0] = 2;
        assert!(Table::new(&counts, &[1, 2]).is_err(), "a code of ones alone");
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_err(), "three codes of one bit");
        assert!(Table::new(&[17; 16], &[0; 272]).is_err(), "more than 256");
    }

    #[test]
    fn numbers_below_half_are_negative() {
        let values: Vec<i32> = (0..8).map(|value| extend(value, 3)).collect();
        assert_eq!(values, [-7, -6, -5, -4, 4, 5, 6, 7]);
    }
}
