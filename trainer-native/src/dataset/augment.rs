//! Changes a training picture as another photographer would have taken it: nearer, off-centre, in
//! other light and other paint, with something in front. Proportions stay, since answers speak of
//! them; left and right do unless mirroring is asked for.

use image::{RgbImage, imageops};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// At strength 1: the share of either side that a crop takes away at most.
const CROP: f64 = 0.2;
/// At strength 1: the largest change of a channel's gain, as a power of two.
const GAIN: f64 = 0.5;
/// At strength 1: the largest change of the exponent that brightens or darkens, as a power of two.
const GAMMA: f64 = 0.6;
/// At strength 1: how often two of red, green and blue change places.
const PERMUTED: f64 = 0.7;
/// At strength 1: how often colour is taken away.
const GREY: f64 = 0.3;
/// At strength 1: how often a channel becomes its negative.
const NEGATIVE: f64 = 0.3;
/// At strength 1: how often a patch of one colour hides a part.
const HIDDEN: f64 = 0.25;
/// Sides of such a patch, as shares of the picture's height.
const PATCH: std::ops::Range<f64> = 0.1..0.4;

/// How training pictures are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augmentation {
    /// Of crop, light, paint and hiding: from 0, which changes nothing, to 1.
    pub strength: f64,
    /// Share of the pictures that are seen in a mirror: for texts that say nothing of left and right.
    pub mirrored: f64,
}

impl Augmentation {
    /// Whether any picture may change.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.strength > 0.0 || self.mirrored > 0.0
    }
}

/// A changed copy.
#[must_use]
pub fn augment(photo: &RgbImage, change: Augmentation, random: &mut ChaCha8Rng) -> RgbImage {
    let strength = change.strength;
    let kept = 1.0 - strength * CROP * random.random::<f64>();
    let [width, height] =
        [photo.width(), photo.height()].map(|side| ((f64::from(side) * kept).round() as u32).max(1));
    let left = random.random_range(0..=photo.width() - width);
    let top = random.random_range(0..=photo.height() - height);
    let mut changed = imageops::crop_imm(photo, left, top, width, height).to_image();

    if change.mirrored > 0.0 && random.random_bool(change.mirrored) {
        imageops::flip_horizontal_in_place(&mut changed);
    }

    let gamma = around_one(strength * GAMMA, random);
    let tables: [[u8; 256]; 3] = std::array::from_fn(|_| {
        let gain = around_one(strength * GAIN, random);
        let is_negative = random.random_bool(strength * NEGATIVE);
        std::array::from_fn(|value| {
            let value = if is_negative { 255 - value } else { value };
            ((value as f64 / 255.0).powf(gamma) * gain * 255.0).round().clamp(0.0, 255.0) as u8
        })
    });
    let mut order = [0, 1, 2];
    if random.random_bool(strength * PERMUTED) {
        order.rotate_left(random.random_range(0..3));
        let pair = random.random_range(0..2);
        order.swap(pair, pair + 1);
    }
    let grey = random.random_bool(strength * GREY);
    for pixel in changed.pixels_mut() {
        let old = pixel.0;
        pixel.0 = std::array::from_fn(|channel| tables[channel][usize::from(old[order[channel]])]);
        if grey {
            let [red, green, blue] = pixel.0.map(u32::from);
            pixel.0 = [((299 * red + 587 * green + 114 * blue) / 1000) as u8; 3];
        }
    }
    if random.random_bool(strength * HIDDEN) {
        hide(&mut changed, random);
    }
    changed
}

/// A factor whose binary logarithm is at most `range` either way.
fn around_one(range: f64, random: &mut ChaCha8Rng) -> f64 {
    (range * random.random_range(-1.0..=1.0)).exp2()
}

/// Lays a patch of one colour over the picture: <https://arxiv.org/abs/1708.04896>.
fn hide(photo: &mut RgbImage, random: &mut ChaCha8Rng) {
    let height = f64::from(photo.height());
    let mut side = |longest: u32| ((height * random.random_range(PATCH)).round() as u32).clamp(1, longest);
    let (width, height) = (side(photo.width()), side(photo.height()));
    let left = random.random_range(0..=photo.width() - width);
    let top = random.random_range(0..=photo.height() - height);
    let colour = image::Rgb(random.random());
    for y in top..top + height {
        for x in left..left + width {
            photo.put_pixel(x, y, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn photo() -> RgbImage {
        RgbImage::from_fn(40, 20, |x, y| image::Rgb([(x * 6) as u8, (y * 12) as u8, 77]))
    }

    #[test]
    fn strength_zero_changes_nothing() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let nothing = Augmentation { strength: 0.0, mirrored: 0.0 };
        assert_eq!(augment(&photo(), nothing, &mut random), photo());
    }

    #[test]
    fn a_mirror_turns_about_its_share() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let change = Augmentation { strength: 0.0, mirrored: 0.25 };
        let mirrored = imageops::flip_horizontal(&photo());
        let turned = (0..400).filter(|_| augment(&photo(), change, &mut random) == mirrored).count();
        assert!((70..130).contains(&turned), "{turned} of 400");
    }

    #[test]
    fn proportions_stay_and_the_seed_decides() {
        let once = |seed| {
            augment(
                &photo(),
                Augmentation { strength: 1.0, mirrored: 0.0 },
                &mut ChaCha8Rng::seed_from_u64(seed),
            )
        };
        for seed in 0..50 {
            let changed = once(seed);
            let proportion = f64::from(changed.width()) / f64::from(changed.height());
            assert!((proportion - 2.0).abs() < 0.1, "{proportion}");
            assert_eq!(changed, once(seed));
        }
        assert_ne!(once(1), once(2));
    }
}
