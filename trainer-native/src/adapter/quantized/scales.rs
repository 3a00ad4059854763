//! The scales of blocks, as they are or, in double quantisation, in 8 bits:
//! <https://github.com/bitsandbytes-foundation/bitsandbytes/blob/0.45.0/bitsandbytes/functional.py#L272-L325>.

use std::sync::LazyLock;

/// Scales that share a scale.
const GROUP: usize = 256;

/// One scale for every block of numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// As they are.
    Plain(Vec<f32>),
    /// Their distances from their mean, in dynamic codes.
    Double {
        /// One a block.
        codes: Vec<u8>,
        /// The largest distance of every 256 blocks.
        largest: Vec<f32>,
        /// The mean of all scales.
        mean: f32,
    },
}

impl Scales {
    /// Keeps scales, quantised where `double` is set.
    #[must_use]
    pub fn new(scales: Vec<f32>, double: bool) -> Self {
        if !double {
            return Self::Plain(scales);
        }
        let mean = (scales.iter().map(|scale| f64::from(*scale)).sum::<f64>() / scales.len() as f64) as f32;
        let distances: Vec<f32> = scales.iter().map(|scale| scale - mean).collect();
        let largest: Vec<f32> = distances
            .chunks(GROUP)
            .map(|group| group.iter().fold(0.0_f32, |largest, distance| largest.max(distance.abs())))
            .collect();
        let codes = distances
            .iter()
            .enumerate()
            .map(|(block, distance)| match largest[block / GROUP] {
                0.0 => nearest(0.0),
                largest => nearest(distance / largest),
            })
            .collect();
        Self::Double { codes, largest, mean }
    }

    /// The scale of a block.
    #[must_use]
    pub fn of(&self, block: usize) -> f32 {
        match self {
            Self::Plain(scales) => scales[block],
            Self::Double { codes, largest, mean } => {
                DYNAMIC[usize::from(codes[block])] * largest[block / GROUP] + mean
            }
        }
    }

    /// Bytes that so many scales will hold.
    #[must_use]
    pub fn bytes_of(count: usize, double: bool) -> usize {
        const WIDTH: usize = size_of::<f32>();
        if double { count + WIDTH * count.div_ceil(GROUP) + WIDTH } else { WIDTH * count }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(scales) => size_of_val(scales.as_slice()),
            Self::Double { codes, largest, .. } => codes.len() + size_of_val(largest.as_slice()) + 4,
        }
    }
}

/// The signed dynamic map of 8 bits: seven decades, each twice as fine as the one below it
/// (<https://arxiv.org/abs/1511.04561>), ascending.
static DYNAMIC: LazyLock<[f32; 256]> = LazyLock::new(|| {
    let mut values = Vec::with_capacity(256);
    for decade in 0..7_i32 {
        let steps = 1 << decade;
        let bound = |index: i32| 0.1 + 0.9 * f64::from(index) / f64::from(steps);
        for index in 0..steps {
            let value = 10_f64.powi(decade - 6) * f64::midpoint(bound(index), bound(index + 1));
            values.extend([value as f32, -value as f32]);
        }
    }
    values.extend([0.0, 1.0]);
    values.sort_by(f32::total_cmp);
    values.try_into().expect("2 × 127 values and the two ends")
});

/// The dynamic code next to a share from -1 to 1.
fn nearest(share: f32) -> u8 {
    let above = DYNAMIC.partition_point(|value| *value < share).min(255);
    let is_lower_nearer = above > 0 && share - DYNAMIC[above - 1] < DYNAMIC[above] - share;
    (above - usize::from(is_lower_nearer)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_that_of_bitsandbytes_at_its_ends_and_middle() {
        assert_eq!((DYNAMIC[0], DYNAMIC[255], DYNAMIC[127]), (-0.992_968_75, 1.0, 0.0));
        assert!((DYNAMIC[128] - 5.5e-7).abs() < 1e-12);
        for code in 0..=255_u8 {
            assert_eq!(nearest(DYNAMIC[usize::from(code)]), code);
        }
    }

    #[test]
    fn doubly_quantised_scales_are_near_and_small() {
        let scales: Vec<f32> = (0..600).map(|block| 1.0 + (block as f32 * 0.37).sin()).collect();
        let double = Scales::new(scales.clone(), true);
        for (block, scale) in scales.iter().enumerate() {
            assert!((double.of(block) - scale).abs() < 0.01, "{block}");
        }
        assert_eq!((Scales::new(scales.clone(), false).bytes(), double.bytes()), (2400, 600 + 12 + 4));
        assert_eq!([false, true].map(|double| Scales::bytes_of(600, double)), [2400, 600 + 12 + 4]);
        let equal = Scales::new(vec![0.5; 10], true);
        assert_eq!(equal.of(9), 0.5);
    }
}
