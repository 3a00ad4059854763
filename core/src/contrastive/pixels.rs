//! `preprocessor_config.json` of CLIP and SigLIP: a photo to the patches of a square.
//!
//! CLIP brings the shorter side to the square's and cuts out the middle; SigLIP bends the whole photo
//! into the square. Both resize as Pillow does:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/clip/image_processing_clip.py>,
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/siglip/image_processing_siglip.py>

use super::{ContrastiveConfig, ContrastiveError};
use crate::config::ConfigError;
use crate::config::fields::{read_fields, read_object};
use crate::image::{ImageError, resize_bicubic};
use image::RgbImage;
use serde_json::Value;

const FILE: &str = "preprocessor_config.json";

/// The longest side of a photo in shortest sides that may be resized by its shorter one.
const MAX_ASPECT_RATIO: u32 = 200;

/// How a photo becomes a square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelSettings {
    /// Subtracted from each channel after scaling to 0 to 1.
    pub mean: [f32; 3],
    /// Divides each channel after subtraction.
    pub std: [f32; 3],
    /// Brings a byte to the range from 0 to 1.
    pub rescale_factor: f64,
    /// Side in pixels that the shorter side gets before the middle is cut out; `None` bends the photo.
    pub shortest_edge: Option<u32>,
}

/// The patches of one photo.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// `[patches, patch_dim]`: patches by rows, the values of one by `(channel, row, column)`.
    pub values: Vec<f32>,
}

impl PixelSettings {
    /// Reads the file and holds it against the model's sizes.
    ///
    /// # Errors
    /// No JSON, a field of the wrong type, or a size other than the model's.
    pub fn from_json(text: &str, config: &ContrastiveConfig) -> Result<Self, ContrastiveError> {
        let fields = read_object(FILE, text)?;
        let colours = |name: &'static str, otherwise| match fields.get(name) {
            Some(value) => read_fields::<[f32; 3]>(FILE, name, value.clone()),
            None => Ok(otherwise),
        };
        let side = config.image_size as u32;
        let shortest_edge = match fields.get("size") {
            None => None,
            Some(Value::Object(size)) => match size.get("shortest_edge") {
                Some(edge) => Some(read_fields(FILE, "size.shortest_edge", edge.clone())?),
                None => {
                    for axis in ["height", "width"] {
                        let found: u32 =
                            read_fields(FILE, "size", size.get(axis).cloned().unwrap_or_default())?;
                        if found != side {
                            return Err(wrong(
                                &format!("size.{axis}"),
                                found,
                                format!("the model's image_size ({side})"),
                            ));
                        }
                    }
                    None
                }
            },
            Some(edge) => Some(read_fields(FILE, "size", edge.clone())?),
        };
        if let Some(edge) = shortest_edge.filter(|edge| !(side..=4096).contains(edge)) {
            return Err(wrong("size.shortest_edge", edge, format!("{side} to 4096")));
        }
        let std = colours("image_std", [0.5; 3])?;
        if std.contains(&0.0) {
            return Err(wrong("image_std", "0", "numbers other than 0".into()));
        }
        if let Some(filter) = fields.get("resample").filter(|filter| filter.as_u64() != Some(3)) {
            return Err(wrong("resample", filter, "3, bicubic".into()));
        }
        let rescale_factor = match fields.get("rescale_factor") {
            Some(value) => read_fields(FILE, "rescale_factor", value.clone())?,
            None => 1.0 / 255.0,
        };
        Ok(Self { mean: colours("image_mean", [0.5; 3])?, std, rescale_factor, shortest_edge })
    }

    /// Resizes, cuts out the middle where asked, normalises, and cuts into patches.
    ///
    /// # Errors
    /// The photo has no pixels, or is over 200 times as long as it is wide.
    pub fn cut(&self, photo: &RgbImage, config: &ContrastiveConfig) -> Result<Pixels, ImageError> {
        let (width, height) = photo.dimensions();
        if width == 0 || height == 0 {
            return Err(ImageError::NoPixels { width, height });
        }
        if width.max(height) / MAX_ASPECT_RATIO >= width.min(height) {
            return Err(ImageError::AspectRatio { limit: MAX_ASPECT_RATIO, width, height });
        }
        let side = config.image_size as u32;
        let (square, left, top) = match self.shortest_edge {
            None => (resize_bicubic(photo, side, side), 0, 0),
            Some(edge) => {
                let shorter = f64::from(width.min(height));
                let fit = |length: u32| (f64::from(edge) * f64::from(length) / shorter) as u32;
                let (width, height) = (fit(width), fit(height));
                (resize_bicubic(photo, width, height), (width - side) / 2, (height - side) / 2)
            }
        };
        Ok(self.patches(&square, left, top, config))
    }

    fn patches(&self, photo: &RgbImage, left: u32, top: u32, config: &ContrastiveConfig) -> Pixels {
        let tables: [[f32; 256]; 3] = std::array::from_fn(|channel| {
            std::array::from_fn(|value| {
                let rescaled = (value as f64 * self.rescale_factor) as f32;
                (rescaled - self.mean[channel]) / self.std[channel]
            })
        });
        let patch = config.patch_size as u32;
        let side = config.side() as u32;
        let mut values = Vec::with_capacity((side * side) as usize * config.patch_dim());
        for corner in (0..side * side).map(|at| (left + at % side * patch, top + at / side * patch)) {
            for (channel, table) in tables.iter().enumerate() {
                for at in 0..patch * patch {
                    let pixel = photo.get_pixel(corner.0 + at % patch, corner.1 + at / patch);
                    values.push(table[usize::from(pixel.0[channel])]);
                }
            }
        }
        Pixels { values }
    }
}

fn wrong(field: &str, found: impl ToString, expected: String) -> ContrastiveError {
    let (field, found) = (field.to_owned(), found.to_string());
    ContrastiveError::Config(ConfigError::Value { file: FILE, field, found, expected })
}
