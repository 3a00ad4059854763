//! Normalises an image and cuts it into the patches of the vision tower, in the tower's order.
//!
//! Follows `_preprocess` of the slow processor:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/qwen2_vl/image_processing_qwen2_vl.py>

use ::image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{ImageError, resize_bicubic, smart_resize};

/// What `preprocessor_config.json` says about images.
///
/// Fields that the file leaves out take the defaults of transformers' `Qwen2VLImageProcessor`;
/// fields that are not read here are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSettings {
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Frames a patch spans; a still image is repeated so often.
    pub temporal_patch_size: usize,
    /// Side, in patches, of the square that the tower merges into one token.
    pub merge_size: usize,
    /// The fewest pixels of a resized image.
    pub min_pixels: u64,
    /// The most pixels of a resized image.
    pub max_pixels: u64,
    /// Mean of red, green and blue after rescaling.
    #[serde(rename = "image_mean")]
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue after rescaling.
    #[serde(rename = "image_std")]
    pub std: [f32; 3],
    /// What an 8-bit value is multiplied by before it is normalised.
    pub rescale_factor: f64,
}

impl Default for ImageSettings {
    fn default() -> Self {
        Self {
            patch_size: 14,
            temporal_patch_size: 2,
            merge_size: 2,
            min_pixels: 56 * 56,
            max_pixels: 28 * 28 * 1280,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            rescale_factor: 1.0 / 255.0,
        }
    }
}

impl ImageSettings {
    /// Side in pixels of the square behind one merged token.
    fn factor(&self) -> Result<u32, ImageError> {
        let sizes = [
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("merge_size", self.merge_size),
        ];
        // Far above any published model, and low enough that no product below overflows 32 bits.
        const LARGEST: usize = 256;
        for (field, size) in sizes {
            if !(1..=LARGEST).contains(&size) {
                let found = size.to_string();
                return Err(ImageError::Setting { field, expected: "1 to 256", found });
            }
        }
        if let Some(std) = self.std.iter().find(|&&std| std == 0.0) {
            return Err(ImageError::Setting {
                field: "image_std",
                expected: "numbers other than 0",
                found: std.to_string(),
            });
        }
        Ok((self.patch_size * self.merge_size) as u32)
    }

    /// How many patches [`preprocess`] makes of an upright image of so many pixels.
    ///
    /// # Errors
    /// Those of [`smart_resize`], and [`ImageError::Setting`] for sizes out of reason.
    pub fn grid(&self, width: u32, height: u32) -> Result<Grid, ImageError> {
        let factor = self.factor()?;
        let (height, width) = smart_resize(height, width, factor, self.min_pixels, self.max_pixels)?;
        Ok(Grid { t: 1, h: height as usize / self.patch_size, w: width as usize / self.patch_size })
    }

    /// `[channel][value]`: every 8-bit value rescaled in f64, then normalised in f32, which is the
    /// order in which numpy rounds.
    fn normalised(&self) -> [[f32; 256]; 3] {
        std::array::from_fn(|channel| {
            std::array::from_fn(|value| {
                let rescaled = (value as f64 * self.rescale_factor) as f32;
                (rescaled - self.mean[channel]) / self.std[channel]
            })
        })
    }
}

/// How many patches an image has along time, height and width, before merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Grid {
    /// Along time: 1 for a still image.
    pub t: usize,
    /// Along the height.
    pub h: usize,
    /// Along the width.
    pub w: usize,
}

impl Grid {
    /// Patches in all, before merging.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.t * self.h * self.w
    }

    /// Tokens in all, after `merge_size` x `merge_size` patches were merged into one.
    ///
    /// # Panics
    /// When `merge_size` is 0.
    #[must_use]
    pub fn merged(&self, merge_size: usize) -> usize {
        self.patches() / (merge_size * merge_size)
    }
}

/// The patches of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Patches {
    /// `[patches, patch_dim]`, row-major. Patches go by `(t, h / merge, w / merge, merge h,
    /// merge w)`; the values of one go by `(channel, frame, row, column)`.
    pub values: Vec<f32>,
    /// Where the patches lie.
    pub grid: Grid,
    /// `3 * temporal_patch_size * patch_size * patch_size`.
    pub patch_dim: usize,
}

/// Normalises an image of the right size and cuts it into patches.
///
/// # Shapes
/// `[height, width, 3]` -> `[patches, patch_dim]` with `grid = (1, height / patch_size,
/// width / patch_size)`.
///
/// # Errors
/// [`ImageError::Indivisible`] unless both sides are multiples of `patch_size * merge_size`,
/// [`ImageError::NoPixels`] for a side of 0, [`ImageError::Setting`] for sizes out of reason.
pub fn cut_patches(image: &RgbImage, settings: &ImageSettings) -> Result<Patches, ImageError> {
    let factor = settings.factor()?;
    let (width, height) = image.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::NoPixels { width, height });
    }
    if width % factor != 0 || height % factor != 0 {
        return Err(ImageError::Indivisible { factor, width, height });
    }
    let ImageSettings { patch_size, temporal_patch_size, merge_size, .. } = *settings;
    let (row_values, frame_values) = (width as usize * 3, patch_size * patch_size);
    let grid = Grid { t: 1, h: height as usize / patch_size, w: width as usize / patch_size };
    let patch_dim = 3 * temporal_patch_size * frame_values;
    let mut values = vec![0.0; grid.patches() * patch_dim];

    let tables = settings.normalised();
    let mut patches = values.chunks_exact_mut(patch_dim);
    for (row, column) in corners(grid, merge_size) {
        let patch = patches.next().expect("there are as many corners as patches");
        let corner = row * patch_size * row_values + column * patch_size * 3;
        let channels = patch.chunks_exact_mut(temporal_patch_size * frame_values);
        for (channel, (frames, table)) in channels.zip(&tables).enumerate() {
            let (first, repeats) = frames.split_at_mut(frame_values);
            for (line, target) in first.chunks_exact_mut(patch_size).enumerate() {
                let source = &image.as_raw()[corner + line * row_values..][..patch_size * 3];
                for (value, pixel) in target.iter_mut().zip(source.as_chunks::<3>().0) {
                    *value = table[usize::from(pixel[channel])];
                }
            }
            for repeat in repeats.chunks_exact_mut(frame_values) {
                repeat.copy_from_slice(first);
            }
        }
    }
    Ok(Patches { values, grid, patch_dim })
}

/// The `(row, column)` of each patch in the tower's order: merge squares by rows, and inside each
/// square its patches by rows.
fn corners(grid: Grid, merge_size: usize) -> impl Iterator<Item = (usize, usize)> {
    let squares_across = grid.w / merge_size;
    let in_square = merge_size * merge_size;
    (0..grid.patches()).map(move |patch| {
        let (square, inside) = (patch / in_square, patch % in_square);
        let row = square / squares_across * merge_size + inside / merge_size;
        let column = square % squares_across * merge_size + inside % merge_size;
        (row, column)
    })
}

/// The whole way from an upright image to patches: [`smart_resize`], [`resize_bicubic`],
/// [`cut_patches`].
///
/// # Shapes
/// `[any height, any width, 3]` -> `[patches, patch_dim]`.
///
/// # Errors
/// Those of [`smart_resize`] and [`cut_patches`].
pub fn preprocess(image: &RgbImage, settings: &ImageSettings) -> Result<Patches, ImageError> {
    cut_patches(&fit(image, settings)?, settings)
}

/// An upright image at the size at which the model sees it: [`smart_resize`], [`resize_bicubic`].
///
/// # Shapes
/// `[any height, any width, 3]` -> `[grid.h * patch_size, grid.w * patch_size, 3]`.
///
/// # Errors
/// Those of [`smart_resize`], and sizes out of reason.
pub fn fit(image: &RgbImage, settings: &ImageSettings) -> Result<RgbImage, ImageError> {
    let factor = settings.factor()?;
    let (height, width) =
        smart_resize(image.height(), image.width(), factor, settings.min_pixels, settings.max_pixels)?;
    Ok(resize_bicubic(image, width, height))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ImageSettings {
        ImageSettings { patch_size: 2, min_pixels: 16, max_pixels: 10_000, ..ImageSettings::default() }
    }

    fn source(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = |channel: u32| ((x * 37 + y * 91 + channel * 53 + x * y * 17) % 256) as u8;
            ::image::Rgb([value(0), value(1), value(2)])
        })
    }

    /// Patches 1 and 5 of this image from transformers 4.57.1's slow `Qwen2VLImageProcessor`,
    /// one line per channel and frame.
    #[test]
    fn cuts_as_transformers_does() {
        let patches = preprocess(&source(8, 4), &settings()).unwrap();
        assert_eq!(patches.grid, Grid { t: 1, h: 2, w: 4 });
        assert_eq!(patches.patch_dim, 24);
        assert_eq!(patches.values.len(), patches.grid.patches() * patches.patch_dim);
        let patch = |at: usize| &patches.values[at * 24..(at + 1) * 24];
        let expected_1 = [
            [-0.7119789, -0.1718372, 1.1128243, 1.9011393],
            [-0.7119789, -0.1718372, 1.1128243, 1.9011393],
            [0.15388943, 0.7091769, 2.0298605, -1.0017087],
            [0.15388943, 0.7091769, 2.0298605, -1.0017087],
            [1.0793922, 1.6055346, -0.78343654, -0.01555296],
            [1.0793922, 1.6055346, -0.78343654, -0.01555296],
        ];
        let expected_5 = [
            [1.4485881, -1.7484672, 0.52888733, 1.3172023],
            [1.4485881, -1.7484672, 0.52888733, 1.3172023],
            [-1.4669495, -0.9116621, 1.4295497, -1.6020194],
            [-1.4669495, -0.9116621, 1.4295497, -1.6020194],
            [-0.45637497, 0.06976743, -1.3522393, -0.58435565],
            [-0.45637497, 0.06976743, -1.3522393, -0.58435565],
        ];
        assert_eq!(patch(1), expected_1.as_flattened());
        assert_eq!(patch(5), expected_5.as_flattened());
    }

    #[test]
    fn patches_go_square_by_square() {
        let order: Vec<_> = corners(Grid { t: 1, h: 2, w: 4 }, 2).collect();
        let expected = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3)];
        assert_eq!(order, expected);
    }

    #[test]
    fn merging_divides_the_patches() {
        let grid = Grid { t: 1, h: 34, w: 46 };
        assert_eq!((grid.patches(), grid.merged(2)), (1564, 391));
    }

    #[test]
    fn refuses_what_cannot_be_cut() {
        assert_eq!(
            cut_patches(&source(8, 6), &settings()),
            Err(ImageError::Indivisible { factor: 4, width: 8, height: 6 })
        );
        assert_eq!(
            cut_patches(&source(0, 4), &settings()),
            Err(ImageError::NoPixels { width: 0, height: 4 })
        );
        let flat = ImageSettings { merge_size: 0, ..settings() };
        let refused = preprocess(&source(8, 4), &flat).unwrap_err();
        assert_eq!(refused.to_string(), "bad image setting `merge_size`: expected 1 to 256, found 0");
        let still = ImageSettings { std: [0.5, 0.0, 0.5], ..settings() };
        assert!(matches!(
            preprocess(&source(8, 4), &still),
            Err(ImageError::Setting { field: "image_std", .. })
        ));
    }
}
