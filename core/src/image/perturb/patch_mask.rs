//! Random patches painted black: the masked picture of PAPO.
//!
//! <https://github.com/MikeWangWZHL/PAPO/blob/fb63bf4/verl/trainer/papo_utils.py>, section 3.1 of
//! <https://arxiv.org/abs/2507.06448>. The original draws from a generator without seed.

use ::image::{Rgb, RgbImage};
use rand::{Rng, RngExt};

/// A copy with every cell of a grid from the top left corner black with the given probability.
///
/// `cell` is the side of a cell in pixels; cells at the right and lower border are cut off. Cells are
/// drawn row by row.
///
/// # Shapes
/// `[height, width, 3]` -> the same.
///
/// # Panics
/// `cell` is 0, or `probability` is not from 0 to 1.
#[must_use]
pub fn blacken_patches(image: &RgbImage, cell: u32, probability: f64, random: &mut impl Rng) -> RgbImage {
    assert!(cell > 0, "a cell has a side");
    assert!((0.0..=1.0).contains(&probability), "a probability lies between 0 and 1");
    let mut masked = image.clone();
    let (width, height) = image.dimensions();
    for top in (0..height).step_by(cell as usize) {
        for left in (0..width).step_by(cell as usize) {
            if random.random::<f64>() >= probability {
                continue;
            }
            for y in top..(top + cell).min(height) {
                for x in left..(left + cell).min(width) {
                    masked.put_pixel(x, y, Rgb([0; 3]));
                }
            }
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn white(width: u32, height: u32) -> RgbImage {
        RgbImage::from_pixel(width, height, Rgb([255; 3]))
    }

    #[test]
    fn whole_cells_go_black_as_often_as_asked() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let masked = blacken_patches(&white(336, 336), 14, 0.6, &mut random);
        let mut black = 0;
        for top in (0..336).step_by(14) {
            for left in (0..336).step_by(14) {
                let first = masked.get_pixel(left, top);
                for (x, y) in (0..14 * 14).map(|at| (left + at % 14, top + at / 14)) {
                    assert_eq!(masked.get_pixel(x, y), first, "a cell is of one piece");
                }
                black += i32::from(first.0 == [0; 3]);
            }
        }
        // 576 cells, 345.6 expected; four standard deviations of a binomial count.
        assert!((black - 346).abs() < 47, "{black}");
    }

    #[test]
    fn cells_at_the_border_are_cut_off_and_the_seed_decides() {
        let once = |seed| blacken_patches(&white(20, 9), 14, 1.0, &mut ChaCha8Rng::seed_from_u64(seed));
        assert!(once(1).pixels().all(|pixel| pixel.0 == [0; 3]));
        let some = |seed| blacken_patches(&white(90, 90), 14, 0.5, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
        let none = blacken_patches(&white(20, 9), 14, 0.0, &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(none, white(20, 9));
    }
}
