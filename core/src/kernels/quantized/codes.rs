//! Numbers as codes in words.

/// Numbers that share a scale.
pub const BLOCK: usize = 32;

/// Bits of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// A quarter of f32, with scales 9 bits a number.
    Eight,
    /// An eighth of f32, with scales 5 bits a number.
    Four,
}

impl Bits {
    /// How many.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Eight => 8,
            Self::Four => 4,
        }
    }

    /// Codes of a 32-bit word, the first in the lowest bits.
    #[must_use]
    pub fn codes_per_word(self) -> usize {
        32 / self.width()
    }

    /// All bits of a code.
    #[must_use]
    pub fn mask(self) -> i32 {
        (1 << self.width()) - 1
    }

    /// The code of zero.
    #[must_use]
    pub fn offset(self) -> i32 {
        1 << (self.width() - 1)
    }
}

/// A quantised weight on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// Words of codes.
    pub words: Vec<i32>,
    /// A scale a block.
    pub scales: Vec<f32>,
}

/// Quantises numbers block by block: the largest of a block takes the largest code.
///
/// # Panics
/// The numbers do not fill their last block.
#[must_use]
pub fn quantize(numbers: &[f32], bits: Bits) -> Codes {
    let (blocks, rest) = numbers.as_chunks::<BLOCK>();
    assert!(rest.is_empty(), "{} numbers are no multiple of {BLOCK}", numbers.len());
    let most = (bits.offset() - 1) as f32;
    let mut codes = Codes { words: Vec::new(), scales: Vec::with_capacity(blocks.len()) };
    for block in blocks {
        let largest = block.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let scale = largest / most;
        codes.scales.push(scale);
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        for word in block.chunks(bits.codes_per_word()) {
            let packed = word.iter().enumerate().fold(0_u32, |packed, (place, number)| {
                let code = (number * inverse).round().clamp(-most, most) as i32 + bits.offset();
                packed | ((code as u32) << (place * bits.width()))
            });
            codes.words.push(packed as i32);
        }
    }
    codes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::BlockQuantized;
    use burn::tensor::Device;

    #[test]
    fn numbers_come_back_within_half_a_step() {
        for bits in [Bits::Eight, Bits::Four] {
            let numbers: Vec<f32> =
                (0..4 * 64).map(|index| ((index * 37 % 101) as f32 - 50.0) / 7.0).collect();
            let back = BlockQuantized::new(&numbers, [4, 64], bits, &Device::flex()).numbers().into_data();
            let back = back.as_slice::<f32>().expect("f32");
            let scales = quantize(&numbers, bits).scales;
            for (index, (back, number)) in back.iter().zip(&numbers).enumerate() {
                let half_a_step = scales[index / BLOCK] * 0.5001;
                assert!((back - number).abs() <= half_a_step, "{bits:?} {index}: {back} for {number}");
            }
        }
    }

    #[test]
    fn a_block_of_zeros_stays_zero() {
        let codes = quantize(&[0.0; BLOCK], Bits::Four);
        assert_eq!(codes, Codes { words: vec![0x8888_8888_u32 as i32; 4], scales: vec![0.0] });
    }
}
