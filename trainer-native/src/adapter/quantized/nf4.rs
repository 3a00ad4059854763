//! NormalFloat of 4 bits: appendix E of <https://arxiv.org/abs/2305.14314>, the table of
//! <https://github.com/bitsandbytes-foundation/bitsandbytes/blob/0.45.0/csrc/kernels.cu#L223-L243>.

/// What the sixteen codes stand for, as shares of their block's largest number.
#[expect(clippy::excessive_precision, reason = "the digits of the published table")]
pub const TABLE: [f32; 16] = [
    -1.0,
    -0.696_192_800_998_687_7,
    -0.525_073_051_452_636_7,
    -0.394_917_488_098_144_5,
    -0.284_441_381_692_886_35,
    -0.184_773_430_228_233_34,
    -0.091_050_036_251_544_95,
    0.0,
    0.079_580_299_556_255_34,
    0.160_930_201_411_247_25,
    0.246_112_301_945_686_34,
    0.337_915_241_718_292_24,
    0.440_709_829_330_444_34,
    0.562_617_003_917_694_1,
    0.722_956_836_223_602_3,
    1.0,
];

/// The code next to a share from -1 to 1.
#[must_use]
pub fn nearest(share: f32) -> u8 {
    TABLE.windows(2).take_while(|pair| share > f32::midpoint(pair[0], pair[1])).count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_table_is_its_own_code() {
        for (code, share) in TABLE.into_iter().enumerate() {
            assert_eq!(usize::from(nearest(share)), code);
        }
        assert_eq!((nearest(0.03), nearest(0.05), nearest(2.0)), (7, 8, 15));
    }
}
