//! Noise as a diffusion model adds it: the distorted picture of NoisyRollout.
//!
//! <https://github.com/NUS-TRAIL/NoisyRollout/blob/09347ddd88135b83a336a204ecf6353121bbee79/verl/utils/image_aug.py>,
//! section 3 of <https://arxiv.org/abs/2504.13055>.

use ::image::RgbImage;
use rand::{Rng, RngExt};

/// Steps of the forward process; a step is a number below this.
pub const NOISE_STEPS: usize = 1000;

/// `(√ᾱ, √(1 - ᾱ))` of a step: the weight of the picture and that of the noise.
///
/// # Panics
/// `step` is not below [`NOISE_STEPS`].
#[must_use]
pub fn noise_weights(step: usize) -> (f64, f64) {
    assert!(step < NOISE_STEPS, "step {step} of {NOISE_STEPS}");
    let kept: f64 = (0..=step)
        .map(|index| {
            let place = -6.0 + 12.0 * index as f64 / (NOISE_STEPS - 1) as f64;
            let beta = (5e-3 - 1e-5) / (1.0 + (-place).exp()) + 1e-5;
            1.0 - beta
        })
        .product();
    (kept.sqrt(), (1.0 - kept).sqrt())
}

/// A copy as it stands after `step` steps of noise, clamped, and cut down to 8 bits as torchvision does it.
///
/// # Shapes
/// `[height, width, 3]` -> the same.
///
/// # Panics
/// `step` is not below [`NOISE_STEPS`].
#[must_use]
pub fn diffuse(image: &RgbImage, step: usize, random: &mut impl Rng) -> RgbImage {
    let (picture, noise) = noise_weights(step);
    let mut noisy = image.clone();
    for pair in noisy.as_flat_samples_mut().samples.chunks_mut(2) {
        for (value, normal) in pair.iter_mut().zip(two_normal(random)) {
            let mixed = picture * f64::from(*value) / 255.0 + noise * normal;
            *value = (mixed.clamp(0.0, 1.0) * 255.0) as u8;
        }
    }
    noisy
}

/// Two independent normal numbers, by Box and Muller.
fn two_normal(random: &mut impl Rng) -> [f64; 2] {
    // From above 0 to 1, so that the logarithm is finite.
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let angle = std::f64::consts::TAU * random.random::<f64>();
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::Rgb;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Computed in f64 from the formula of `image_aug.py`.
    #[test]
    fn the_weights_are_those_of_the_original() {
        for (step, picture, noise) in [
            (0, 0.999_989, 0.004_726),
            (100, 0.998_293, 0.058_406),
            (200, 0.993_879, 0.110_475),
            (300, 0.980_984, 0.194_089),
            (400, 0.944_860, 0.327_476),
            (450, 0.910_737, 0.412_987),
            (499, 0.864_103, 0.503_314),
            (500, 0.863_017, 0.505_175),
            (999, 0.285_042, 0.958_515),
        ] {
            let found = noise_weights(step);
            assert!((found.0 - picture).abs() < 1e-6 && (found.1 - noise).abs() < 1e-6, "{step}: {found:?}");
        }
    }

    #[test]
    fn noise_has_the_mean_and_the_spread_of_its_step() {
        let grey = RgbImage::from_pixel(120, 120, Rgb([128; 3]));
        let noisy = diffuse(&grey, 200, &mut ChaCha8Rng::seed_from_u64(3));
        let values: Vec<f64> = noisy.as_raw().iter().map(|value| f64::from(*value) / 255.0).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        let (picture, noise) = noise_weights(200);
        // Cutting down to 8 bits takes half a unit; the rest is four standard errors.
        assert!(
            (mean - (picture * 128.0 / 255.0 - 0.5 / 255.0)).abs() < 4.0 * noise / count.sqrt(),
            "{mean}"
        );
        assert!((spread - noise).abs() < 4.0 * noise / (2.0 * count).sqrt() + 1e-4, "{spread}");
    }

    #[test]
    fn the_seed_decides() {
        let grey = RgbImage::from_pixel(7, 5, Rgb([90; 3]));
        let once = |seed| diffuse(&grey, 500, &mut ChaCha8Rng::seed_from_u64(seed));
        assert_eq!(once(1), once(1));
        assert_ne!(once(1), once(2));
    }
}
