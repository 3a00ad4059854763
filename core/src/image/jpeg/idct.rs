//! The inverse transform of a block (ITU-T T.81, annex A.3.3), in the integers of libjpeg-turbo's "islow".
//!
//! The method is that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 13 bits of fraction:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jidctint.c>. Values that no sound file
//! has wrap and saturate at 16 bits, as they do in the vector code that libjpeg-turbo runs in its stead:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/simd/x86_64/jidctint-avx2.asm>

use super::frame::BLOCK;

/// Bits of fraction of the constants.
const FRACTION_BITS: u32 = 13;
/// Bits of fraction that columns hand on to rows.
const COLUMN_BITS: u32 = 2;

/// `value * 2^13`, rounded.
const fn fixed(value: f64) -> i32 {
    (value * (1 << FRACTION_BITS) as f64 + 0.5) as i32
}

/// Eight rows of eight, or eight columns.
type Lanes = [[i16; BLOCK]; BLOCK];

/// Samples in rows, from coefficients in natural order and the steps that they count in.
#[inline(always)]
pub fn inverse(block: &[i16; 64], steps: &[i16; 64]) -> [[u8; BLOCK]; BLOCK] {
    let mut lanes = [[0; BLOCK]; BLOCK];
    for (lane, (row, steps)) in lanes.iter_mut().zip(block.as_chunks().0.iter().zip(steps.as_chunks().0)) {
        *lane = dequantise(row, steps);
    }
    if block[BLOCK..].iter().fold(0, |used, value| used | value) == 0 {
        return inverse_of_first_row(&lanes[0]);
    }
    // All columns side by side, then all rows side by side.
    let columns = transform::<{ FRACTION_BITS - COLUMN_BITS }>(&lanes);
    samples(&transform::<{ FRACTION_BITS + COLUMN_BITS + 3 }>(&transpose(&columns)))
}

/// The same where all other rows are zero, so that all rows come out alike.
#[inline(always)]
fn inverse_of_first_row(row: &[i16; BLOCK]) -> [[u8; BLOCK]; BLOCK] {
    if row[1..].iter().fold(0, |used, value| used | value) == 0 {
        let value = (i32::from(row[0] << COLUMN_BITS) + (1 << (COLUMN_BITS + 2))) >> (COLUMN_BITS + 3);
        return [[sample(saturate(value)); BLOCK]; BLOCK];
    }
    let mut columns = [[0; BLOCK]; BLOCK];
    for (column, value) in columns.iter_mut().zip(row) {
        *column = [value << COLUMN_BITS; BLOCK];
    }
    samples(&transform::<{ FRACTION_BITS + COLUMN_BITS + 3 }>(&columns))
}

#[inline(always)]
fn dequantise(row: &[i16; BLOCK], steps: &[i16; BLOCK]) -> [i16; BLOCK] {
    let mut values = [0; BLOCK];
    for at in 0..BLOCK {
        values[at] = row[at].wrapping_mul(steps[at]);
    }
    values
}

#[inline(always)]
fn transpose(lanes: &Lanes) -> Lanes {
    let mut turned = [[0; BLOCK]; BLOCK];
    for y in 0..BLOCK {
        for x in 0..BLOCK {
            turned[x][y] = lanes[y][x];
        }
    }
    turned
}

/// Rows of samples from columns of values.
#[inline(always)]
fn samples(columns: &Lanes) -> [[u8; BLOCK]; BLOCK] {
    let mut rows = [[0; BLOCK]; BLOCK];
    for y in 0..BLOCK {
        for x in 0..BLOCK {
            rows[y][x] = sample(columns[x][y]);
        }
    }
    rows
}

/// From around zero to around the middle of a byte.
#[inline(always)]
fn sample(value: i16) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

#[inline(always)]
fn saturate(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Eight transforms side by side, along the outer axis; `DROPPED` bits of fraction are rounded away.
#[inline(always)]
fn transform<const DROPPED: u32>(input: &Lanes) -> Lanes {
    let mut output = [[0; BLOCK]; BLOCK];
    for lane in 0..BLOCK {
        let [in0, in1, in2, in3, in4, in5, in6, in7] = [
            input[0][lane],
            input[1][lane],
            input[2][lane],
            input[3][lane],
            input[4][lane],
            input[5][lane],
            input[6][lane],
            input[7][lane],
        ];
        let even2 = twice(in2, fixed(0.541_196_100), in6, fixed(0.541_196_100) - fixed(1.847_759_065));
        let even3 = twice(in2, fixed(0.541_196_100) + fixed(0.765_366_865), in6, fixed(0.541_196_100));
        let even0 = i32::from(in0.wrapping_add(in4)) << FRACTION_BITS;
        let even1 = i32::from(in0.wrapping_sub(in4)) << FRACTION_BITS;
        let even = [
            even0.wrapping_add(even3),
            even1.wrapping_add(even2),
            even1.wrapping_sub(even2),
            even0.wrapping_sub(even3),
        ];

        let (sum73, sum51) = (in7.wrapping_add(in3), in5.wrapping_add(in1));
        let odd73 = twice(sum73, fixed(1.175_875_602) - fixed(1.961_570_560), sum51, fixed(1.175_875_602));
        let odd51 = twice(sum73, fixed(1.175_875_602), sum51, fixed(1.175_875_602) - fixed(0.390_180_644));
        let odd = [
            twice(in7, -fixed(0.899_976_223), in1, fixed(1.501_321_110) - fixed(0.899_976_223))
                .wrapping_add(odd51),
            twice(in5, -fixed(2.562_915_447), in3, fixed(3.072_711_026) - fixed(2.562_915_447))
                .wrapping_add(odd73),
            twice(in5, fixed(2.053_119_869) - fixed(2.562_915_447), in3, -fixed(2.562_915_447))
                .wrapping_add(odd51),
            twice(in7, fixed(0.298_631_336) - fixed(0.899_976_223), in1, -fixed(0.899_976_223))
                .wrapping_add(odd73),
        ];

        for at in 0..4 {
            output[at][lane] = round::<DROPPED>(even[at].wrapping_add(odd[at]));
            output[7 - at][lane] = round::<DROPPED>(even[at].wrapping_sub(odd[at]));
        }
    }
    output
}

/// `a * by + b * times`
#[inline(always)]
fn twice(a: i16, by: i32, b: i16, times: i32) -> i32 {
    i32::from(a).wrapping_mul(by).wrapping_add(i32::from(b).wrapping_mul(times))
}

#[inline(always)]
fn round<const DROPPED: u32>(value: i32) -> i16 {
    saturate(value.wrapping_add(1 << (DROPPED - 1)) >> DROPPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transform as T.81 defines it.
    fn exact(block: &[i16; 64]) -> [[f64; BLOCK]; BLOCK] {
        let scale = |at: usize| if at == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
        let cosine = |x: usize, u: usize| ((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0).cos();
        std::array::from_fn(|y| {
            std::array::from_fn(|x| {
                let part = |at: usize| {
                    let (v, u) = (at / 8, at % 8);
                    scale(u) * scale(v) * f64::from(block[at]) * cosine(x, u) * cosine(y, v) / 4.0
                };
                (0..64).map(part).sum::<f64>() + 128.0
            })
        })
    }

    #[test]
    fn every_coefficient_is_nearly_its_cosine() {
        for at in 0..64 {
            let mut block = [0; 64];
            block[0] = 40;
            block[at] = -300;
            let expected = exact(&block);
            for (row, expected) in inverse(&block, &[1; 64]).iter().zip(expected) {
                for (sample, expected) in row.iter().zip(expected) {
                    let difference = f64::from(*sample) - expected.clamp(0.0, 255.0);
                    // Half for the whole number, the rest for columns rounded to quarters.
                    assert!(difference.abs() < 0.6, "coefficient {at}: {sample} for {expected}");
                }
            }
        }
    }

    #[test]
    fn the_short_ways_give_what_the_long_one_gives() {
        for dc in [-2000, -1024, -77, -4, -3, 0, 3, 4, 5, 500, 1023, 2000] {
            for across in [0, 9, -250] {
                let mut block = [0; 64];
                (block[0], block[3]) = (dc, across);
                let short = inverse(&block, &[1; 64]);
                let lanes = std::array::from_fn(|y| std::array::from_fn(|x| block[y * BLOCK + x]));
                let columns = transform::<{ FRACTION_BITS - COLUMN_BITS }>(&lanes);
                let long = samples(&transform::<{ FRACTION_BITS + COLUMN_BITS + 3 }>(&transpose(&columns)));
                assert_eq!(short, long, "{dc} {across}");
            }
        }
    }

    #[test]
    fn values_of_no_sound_file_do_not_panic() {
        for (value, step) in [(i16::MIN, i16::MIN), (i16::MAX, -1), (i16::MAX, i16::MAX), (-1, i16::MIN)] {
            inverse(&[value; 64], &[step; 64]);
        }
    }
}
