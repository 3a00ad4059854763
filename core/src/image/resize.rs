//! The size at which the model sees an image, and Pillow's bicubic resize to it, bit for bit.
//!
//! Size: <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/qwen2_vl/image_processing_qwen2_vl.py>
//! Resize: <https://github.com/python-pillow/Pillow/blob/01f132fb086af790cbd67cfb0ad9aaac607ef567/src/libImaging/Resample.c>

use ::image::RgbImage;

use super::ImageError;

/// The longest side an image may have, in shortest sides.
const MAX_ASPECT_RATIO: u32 = 200;
/// How many times as high as wide an image must be for its columns to be resized first.
const COLUMNS_FIRST: usize = 100;
/// Pillow's fixed point: 32 bits less 8 of the value and 2 of headroom for negative lobes.
const PRECISION_BITS: u32 = 32 - 8 - 2;
/// One half in that fixed point, where every sum starts, so that the final shift rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);
/// How far the bicubic kernel reaches, in source pixels at scale 1.
const BICUBIC_SUPPORT: f64 = 2.0;

/// The `(height, width)` nearest to an image's own that the model can read: both sides divisible
/// by `factor`, their product between `min_pixels` and `max_pixels`, the aspect ratio about kept.
///
/// Sides round half to even, as in Python. All lengths are in pixels; `factor` is
/// `patch_size * merge_size`.
///
/// # Errors
/// [`ImageError::NoPixels`] for a side of 0, [`ImageError::AspectRatio`] over 200 : 1,
/// [`ImageError::Setting`] where `factor` or `max_pixels` is 0, or where `min_pixels` leaves a side
/// at 0 or takes it past `u32`.
pub fn smart_resize(
    height: u32,
    width: u32,
    factor: u32,
    min_pixels: u64,
    max_pixels: u64,
) -> Result<(u32, u32), ImageError> {
    if height == 0 || width == 0 {
        return Err(ImageError::NoPixels { width, height });
    }
    if factor == 0 {
        return Err(positive("patch_size"));
    }
    if max_pixels == 0 {
        return Err(positive("max_pixels"));
    }
    let (shorter, longer) = (height.min(width), height.max(width));
    if u64::from(longer) > u64::from(MAX_ASPECT_RATIO) * u64::from(shorter) {
        return Err(ImageError::AspectRatio { limit: MAX_ASPECT_RATIO, width, height });
    }
    let pixels = (u64::from(height) * u64::from(width)) as f64;
    let (height, width, unit) = (f64::from(height), f64::from(width), f64::from(factor));

    let mut sides = [height, width].map(|side| (side / unit).round_ties_even() * unit);
    // Up to u32 sides the product may pass what f64 holds exactly, but then it is over any limit.
    if sides[0] * sides[1] > max_pixels as f64 {
        let beta = (pixels / max_pixels as f64).sqrt();
        sides = [height, width].map(|side| unit.max((side / beta / unit).floor() * unit));
    } else if sides[0] * sides[1] < min_pixels as f64 {
        let beta = (min_pixels as f64 / pixels).sqrt();
        sides = [height, width].map(|side| (side * beta / unit).ceil() * unit);
    }
    if sides.iter().any(|&side| side < 1.0 || side > f64::from(u32::MAX)) {
        return Err(ImageError::Setting {
            field: "min_pixels",
            expected: "a size with sides of 1 to 4294967295 pixels",
            found: format!("{min_pixels}, which makes {} x {}", sides[1], sides[0]),
        });
    }
    Ok((sides[0] as u32, sides[1] as u32))
}

/// A setting that must not be 0, and is.
fn positive(field: &'static str) -> ImageError {
    ImageError::Setting { field, expected: "at least 1", found: "0".to_string() }
}

/// Resizes to `width` x `height` pixels exactly as Pillow's `Image.resize(size, BICUBIC)` does for
/// 8-bit RGB: antialiased when shrinking, first along rows, then along columns.
///
/// Pillow from 12.2 on takes the columns first where an image over 100 times as high as wide gets lower:
/// <https://github.com/python-pillow/Pillow/blob/12.3.0/src/PIL/Image.py>.
///
/// # Shapes
/// `[old height, old width, 3]` -> `[height, width, 3]`.
///
/// # Panics
/// When any side, old or new, is 0.
#[must_use]
pub fn resize_bicubic(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let (old_width, old_height) = (image.width() as usize, image.height() as usize);
    let (new_width, new_height) = (width as usize, height as usize);
    assert!(
        old_width > 0 && old_height > 0 && new_width > 0 && new_height > 0,
        "resize_bicubic: expected sides of at least 1, found {old_width} x {old_height} to {width} x {height}"
    );
    let columns = Kernel::new(old_height, new_height);
    if old_height > old_width * COLUMNS_FIRST && new_height < old_height {
        let lowered = resize_columns(image.as_raw(), old_width * 3, 0, &columns);
        let values = match new_width == old_width {
            true => lowered,
            false => resize_rows(&lowered, old_width, &Kernel::new(old_width, new_width)),
        };
        return RgbImage::from_raw(width, height, values).expect("both passes fill every pixel");
    }
    let rows_used = columns.reach();

    let widened = (new_width != old_width).then(|| {
        let used = &image.as_raw()[rows_used.start * old_width * 3..rows_used.end * old_width * 3];
        resize_rows(used, old_width, &Kernel::new(old_width, new_width))
    });
    let values = match (widened, new_height != old_height) {
        (None, false) => image.as_raw().clone(),
        (None, true) => resize_columns(image.as_raw(), old_width * 3, 0, &columns),
        (Some(widened), false) => widened,
        (Some(widened), true) => resize_columns(&widened, new_width * 3, rows_used.start, &columns),
    };
    RgbImage::from_raw(width, height, values).expect("both passes fill every pixel")
}

/// For each target position along one axis: which source positions it reads, and their weights.
struct Kernel {
    /// Per target position: the first source position, and how many follow.
    windows: Vec<(usize, usize)>,
    /// `[targets, stride]`, fixed point with [`PRECISION_BITS`]; each row begins at its window.
    weights: Vec<i32>,
    stride: usize,
}

impl Kernel {
    /// Weights in f64, normalised to sum 1, then rounded half away from zero to fixed point
    /// (`precompute_coeffs` and `normalize_coeffs_8bpc`).
    fn new(source: usize, target: usize) -> Self {
        let scale = source as f64 / target as f64;
        let filter_scale = scale.max(1.0);
        let support = BICUBIC_SUPPORT * filter_scale;
        let inverse = 1.0 / filter_scale;
        let stride = support.ceil() as usize * 2 + 1;

        let mut windows = Vec::with_capacity(target);
        let mut weights = vec![0; target * stride];
        let mut exact = Vec::with_capacity(stride);
        for (position, row) in weights.chunks_exact_mut(stride).enumerate() {
            let center = (position as f64 + 0.5) * scale;
            // Casts stop at 0 from below, as Pillow's clamp does.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(source);
            exact.clear();
            exact.extend((first..end).map(|at| bicubic((at as f64 - center + 0.5) * inverse)));
            let sum: f64 = exact.iter().sum();
            for (fixed, weight) in row.iter_mut().zip(&exact) {
                let weight = if sum == 0.0 { *weight } else { weight / sum };
                let scaled = weight * f64::from(1 << PRECISION_BITS);
                *fixed = (scaled + if weight < 0.0 { -0.5 } else { 0.5 }) as i32;
            }
            windows.push((first, end - first));
        }
        Self { windows, weights, stride }
    }

    /// The source positions that any target position reads.
    fn reach(&self) -> std::ops::Range<usize> {
        let (start, _) = self.windows[0];
        let (last, count) = self.windows[self.windows.len() - 1];
        start..last + count
    }

    /// Per target position: the first source position and the weights from there on.
    fn taps(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let rows = self.weights.chunks_exact(self.stride);
        self.windows.iter().zip(rows).map(|(&(first, count), row)| (first, &row[..count]))
    }
}

/// Keys' cubic convolution with a = -0.5.
fn bicubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// The horizontal pass: `[rows, old_width, 3]` -> `[rows, targets, 3]`.
fn resize_rows(source: &[u8], old_width: usize, kernel: &Kernel) -> Vec<u8> {
    let rows = source.len() / (old_width * 3);
    let mut target = vec![0; rows * kernel.windows.len() * 3];
    let target_rows = target.chunks_exact_mut(kernel.windows.len() * 3);
    for (source, target) in source.chunks_exact(old_width * 3).zip(target_rows) {
        let (source, _) = source.as_chunks::<3>();
        let (target, _) = target.as_chunks_mut::<3>();
        for (pixel, (first, weights)) in target.iter_mut().zip(kernel.taps()) {
            let mut sums = [HALF; 3];
            for (&[red, green, blue], &weight) in source[first..].iter().zip(weights) {
                sums[0] += i32::from(red) * weight;
                sums[1] += i32::from(green) * weight;
                sums[2] += i32::from(blue) * weight;
            }
            *pixel = sums.map(clip);
        }
    }
    target
}

/// The vertical pass: `[rows, row_values]`, of which row 0 is the source's row `first_row`,
/// -> `[targets, row_values]`.
fn resize_columns(source: &[u8], row_values: usize, first_row: usize, kernel: &Kernel) -> Vec<u8> {
    let mut target = vec![0; kernel.windows.len() * row_values];
    let mut sums = vec![0; row_values];
    for (target, (first, weights)) in target.chunks_exact_mut(row_values).zip(kernel.taps()) {
        let rows = source[(first - first_row) * row_values..].chunks_exact(row_values);
        sums.fill(HALF);
        for (row, &weight) in rows.zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, &sum) in target.iter_mut().zip(&sums) {
            *value = clip(sum);
        }
    }
    target
}

/// From fixed point back to 8 bits.
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The image that `vectors` below were made from, with Pillow 12.1.0.
    fn source(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = |channel: u32| ((x * 37 + y * 91 + channel * 53 + x * y * 17) % 256) as u8;
            ::image::Rgb([value(0), value(1), value(2)])
        })
    }

    #[test]
    fn resizes_as_pillow_does() {
        type Size = (u32, u32);
        let vectors: [(Size, Size, &[u8]); 8] = [
            // Down in both directions.
            (
                (5, 4),
                (3, 2),
                &[80, 123, 158, 139, 156, 148, 144, 127, 180, 137, 139, 123, 142, 163, 135, 127, 101, 154],
            ),
            // Only the vertical pass.
            (
                (5, 4),
                (5, 2),
                &[
                    63, 116, 138, 110, 132, 185, 126, 179, 124, 183, 118, 171, 112, 135, 188, 102, 155, 91,
                    180, 116, 169, 141, 194, 99, 101, 124, 177, 149, 84, 137,
                ],
            ),
            // Only the horizontal pass.
            (
                (5, 4),
                (2, 4),
                &[
                    32, 85, 138, 116, 169, 222, 145, 191, 183, 172, 118, 110, 182, 137, 101, 149, 105, 166,
                    93, 146, 138, 98, 151, 143,
                ],
            ),
            // Up, where sums pass 0 and 255.
            (
                (3, 2),
                (5, 3),
                &[
                    0, 44, 97, 5, 58, 110, 30, 83, 136, 55, 108, 172, 69, 122, 193, 44, 95, 148, 60, 113,
                    171, 91, 144, 197, 123, 176, 146, 140, 193, 109, 93, 146, 199, 114, 167, 232, 152, 205,
                    255, 190, 243, 119, 211, 255, 24,
                ],
            ),
            ((1, 1), (2, 2), &[0, 53, 106, 0, 53, 106, 0, 53, 106, 0, 53, 106]),
            ((7, 9), (1, 1), &[126, 137, 129]),
            ((40, 30), (2, 2), &[129, 133, 123, 130, 127, 125, 129, 126, 126, 127, 124, 123]),
            // Down one way, up the other.
            (
                (6, 5),
                (4, 7),
                &[
                    5, 58, 111, 55, 110, 172, 118, 181, 246, 180, 232, 108, 58, 119, 189, 140, 185, 138, 158,
                    117, 160, 119, 185, 165, 145, 172, 188, 188, 200, 128, 184, 82, 117, 71, 105, 177, 215,
                    167, 52, 133, 101, 164, 159, 127, 180, 93, 45, 98, 81, 114, 130, 151, 188, 118, 82, 116,
                    171, 162, 187, 101, 80, 95, 167, 145, 162, 105, 73, 136, 112, 137, 197, 151, 157, 103,
                    158, 125, 78, 117, 104, 168, 53, 72, 125, 200,
                ],
            ),
        ];
        for ((width, height), (new_width, new_height), expected) in vectors {
            let resized = resize_bicubic(&source(width, height), new_width, new_height);
            assert_eq!(resized.dimensions(), (new_width, new_height));
            assert_eq!(resized.as_raw(), expected, "{width} x {height} to {new_width} x {new_height}");
        }
    }

    /// The same, with Pillow 12.3.0.
    #[test]
    fn very_tall_images_are_lowered_first_as_pillow_does() {
        assert_eq!(
            resize_bicubic(&source(2, 201), 3, 2).as_raw(),
            &[128, 126, 128, 128, 127, 129, 127, 128, 130, 128, 129, 125, 128, 129, 127, 127, 128, 129]
        );
        assert_eq!(
            resize_bicubic(&source(3, 302), 2, 5).as_raw(),
            &[
                127, 126, 129, 125, 130, 126, 128, 127, 128, 126, 127, 128, 127, 129, 126, 128, 129, 129,
                126, 128, 129, 128, 128, 128, 127, 126, 128, 128, 125, 129
            ]
        );
    }

    #[test]
    fn same_size_is_a_copy() {
        assert_eq!(resize_bicubic(&source(5, 4), 5, 4), source(5, 4));
    }

    #[test]
    fn sizes_as_transformers_does() {
        // (height, width, factor, min_pixels, max_pixels) -> (height, width), transformers 4.57.1.
        let cases = [
            ((480, 640, 28, 3136, 12_845_056), (476, 644)),
            // 2.5 and 3.5 factors: half to even.
            ((70, 98, 28, 3136, 12_845_056), (56, 112)),
            ((1, 1, 28, 3136, 1_003_520), (56, 56)),
            // The height rounds to 0: too few pixels.
            ((13, 2600, 28, 3136, 1_003_520), (28, 812)),
            ((3000, 4000, 28, 3136, 1_003_520), (840, 1148)),
            // The height would floor to 0: too many pixels.
            ((20, 3000, 28, 3136, 20_000), (28, 1708)),
            ((1080, 1920, 32, 65_536, 1_048_576), (768, 1344)),
        ];
        for ((height, width, factor, min_pixels, max_pixels), expected) in cases {
            assert_eq!(smart_resize(height, width, factor, min_pixels, max_pixels), Ok(expected));
        }
    }

    #[test]
    fn refuses_what_has_no_size() {
        assert!(smart_resize(1, 200, 28, 3136, 1_003_520).is_ok());
        assert_eq!(
            smart_resize(1, 201, 28, 3136, 1_003_520),
            Err(ImageError::AspectRatio { limit: 200, width: 201, height: 1 })
        );
        assert_eq!(
            smart_resize(0, 5, 28, 3136, 1_003_520),
            Err(ImageError::NoPixels { width: 5, height: 0 })
        );
        for (factor, min_pixels, max_pixels) in
            [(0, 1, 9), (28, 1, 0), (28, 0, 9000), (28, u64::MAX, u64::MAX)]
        {
            let refused = smart_resize(5, 5, factor, min_pixels, max_pixels);
            assert!(matches!(refused, Err(ImageError::Setting { .. })), "{refused:?}");
        }
    }
}
