//! `preprocessor_config.json`: from a photo to patches.

use super::fields::{read_fields, read_object};
use super::{ConfigError, VisionConfig};
use crate::image::ImageSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

const FILE: &str = "preprocessor_config.json";

/// Where transformers 5 keeps the same settings.
const PROCESSOR_FILE: &str = "processor_config.json";

/// The largest area that every photo may be enlarged to; four times what a photo may have.
const MAX_MIN_PIXELS: u64 = 1 << 28;

/// How a photo is resized, normalised and cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreprocessorConfig {
    /// Area in pixels below which a photo is enlarged.
    pub min_pixels: u64,
    /// Area in pixels above which a photo is reduced.
    pub max_pixels: u64,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Frames in a patch.
    pub temporal_patch_size: usize,
    /// Side of the square of patches that become one token.
    pub merge_size: usize,
    /// Subtracted from each channel after scaling.
    pub image_mean: [f32; 3],
    /// Divides each channel after subtraction.
    pub image_std: [f32; 3],
    /// Brings a byte to the range from 0 to 1.
    pub rescale_factor: f64,
    /// Whether bytes are multiplied by `rescale_factor`.
    pub do_rescale: bool,
    /// Whether mean and deviation are applied.
    pub do_normalize: bool,
    /// Whether photos are resized at all; `false` is refused.
    pub do_resize: bool,
    /// Pillow's number of the resampling filter; 3 is bicubic.
    pub resample: u32,
    /// Name of the processor's class, for other programs.
    pub image_processor_type: String,
}

impl Default for PreprocessorConfig {
    /// The published Qwen2.5-VL preprocessor.
    fn default() -> Self {
        Self {
            min_pixels: 3136,
            max_pixels: 12_845_056,
            patch_size: 14,
            temporal_patch_size: 2,
            merge_size: 2,
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            rescale_factor: 1.0 / 255.0,
            do_rescale: true,
            do_normalize: true,
            do_resize: true,
            resample: 3,
            image_processor_type: "Qwen2VLImageProcessor".into(),
        }
    }
}

impl PreprocessorConfig {
    /// Reads `preprocessor_config.json`; newer files keep the areas under `size`. Absent areas are those of
    /// transformers' `Qwen2VLImageProcessor`, which are below the published ones.
    ///
    /// # Errors
    /// No JSON, or a value that this program cannot honour.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        Self::from_fields(read_object(FILE, text)?)
    }

    /// Reads the `image_processor` of `processor_config.json`, where transformers 5 keeps the same fields;
    /// `None` where the file has none.
    ///
    /// # Errors
    /// As [`Self::from_json`].
    pub fn from_processor_json(text: &str) -> Result<Option<Self>, ConfigError> {
        match read_object(PROCESSOR_FILE, text)?.shift_remove("image_processor") {
            Some(Value::Object(fields)) => Self::from_fields(fields).map(Some).map_err(in_processor_file),
            _ => Ok(None),
        }
    }

    fn from_fields(mut fields: Map<String, Value>) -> Result<Self, ConfigError> {
        fields.retain(|_, value| !value.is_null());
        if let Some(Value::Object(size)) = fields.get("size").cloned() {
            for (old, new) in [("min_pixels", "shortest_edge"), ("max_pixels", "longest_edge")] {
                if let Some(value) = size.get(old).or_else(|| size.get(new)) {
                    fields.entry(old).or_insert(value.clone());
                }
            }
        }
        let absent = ImageSettings::default();
        fields.entry("min_pixels").or_insert(absent.min_pixels.into());
        fields.entry("max_pixels").or_insert(absent.max_pixels.into());
        let config: Self = read_fields(FILE, "", fields)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("patch_size", self.patch_size),
            ("temporal_patch_size", self.temporal_patch_size),
            ("merge_size", self.merge_size),
        ] {
            if value == 0 || value > 4096 {
                return Err(ConfigError::value(FILE, field, value, "between 1 and 4096"));
            }
        }
        if self.min_pixels > MAX_MIN_PIXELS {
            let expected = format!("at most {MAX_MIN_PIXELS}");
            return Err(ConfigError::value(FILE, "min_pixels", self.min_pixels, expected));
        }
        if self.max_pixels < self.min_pixels {
            let expected = format!("at least min_pixels ({})", self.min_pixels);
            return Err(ConfigError::value(FILE, "max_pixels", self.max_pixels, expected));
        }
        if !self.do_resize {
            return Err(ConfigError::value(FILE, "do_resize", false, "true"));
        }
        if self.resample != 3 {
            return Err(ConfigError::value(FILE, "resample", self.resample, "3 (bicubic)"));
        }
        if self.image_std.contains(&0.0) {
            return Err(ConfigError::value(FILE, "image_std", format!("{:?}", self.image_std), "no zero"));
        }
        Ok(())
    }

    /// Checks that the patches cut here are the patches that the vision tower takes.
    ///
    /// # Errors
    /// Patch, frame or merge sizes that differ from `config.json`.
    pub fn check_against(&self, vision: &VisionConfig) -> Result<(), ConfigError> {
        for (field, value, expected) in [
            ("patch_size", self.patch_size, vision.patch_size),
            ("temporal_patch_size", self.temporal_patch_size, vision.temporal_patch_size),
            ("merge_size", self.merge_size, vision.spatial_merge_size),
        ] {
            if value != expected {
                return Err(ConfigError::value(FILE, field, value, format!("{expected}, as in config.json")));
            }
        }
        Ok(())
    }

    /// The same numbers as the image room takes them.
    #[must_use]
    pub fn settings(&self) -> ImageSettings {
        ImageSettings {
            patch_size: self.patch_size,
            temporal_patch_size: self.temporal_patch_size,
            merge_size: self.merge_size,
            min_pixels: self.min_pixels,
            max_pixels: self.max_pixels,
            mean: if self.do_normalize { self.image_mean } else { [0.0; 3] },
            std: if self.do_normalize { self.image_std } else { [1.0; 3] },
            rescale_factor: if self.do_rescale { self.rescale_factor } else { 1.0 },
        }
    }
}

/// The same error, with the file and place where the settings were found.
fn in_processor_file(error: ConfigError) -> ConfigError {
    let inside = |field: String| format!("image_processor.{field}");
    match error {
        ConfigError::Field { field, source, .. } => {
            ConfigError::Field { file: PROCESSOR_FILE, field: inside(field), source }
        }
        ConfigError::Value { field, found, expected, .. } => {
            ConfigError::Value { file: PROCESSOR_FILE, field: inside(field), found, expected }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_areas_are_those_of_transformers() {
        let config = PreprocessorConfig::from_json("{}").expect("defaults");
        assert_eq!((config.min_pixels, config.max_pixels), (56 * 56, 28 * 28 * 1280));
    }

    #[test]
    fn the_image_processor_inside_another_file_is_read_and_blamed_there() {
        let text = r#"{"image_processor": {"size": {"shortest_edge": 3136, "longest_edge": 12000}}}"#;
        let config = PreprocessorConfig::from_processor_json(text).expect("a file").expect("settings");
        assert_eq!((config.min_pixels, config.max_pixels), (3136, 12_000));
        assert!(PreprocessorConfig::from_processor_json("{}").expect("a file").is_none());
        let wrong = r#"{"image_processor": {"resample": 2}}"#;
        let error = PreprocessorConfig::from_processor_json(wrong).unwrap_err();
        assert!(
            error.to_string().starts_with("processor_config.json: `image_processor.resample`"),
            "{error}"
        );
        let error = PreprocessorConfig::from_processor_json("{").unwrap_err();
        assert!(error.to_string().starts_with("processor_config.json"), "{error}");
    }

    #[test]
    fn steps_that_are_left_out_change_nothing() {
        let text = r#"{"do_rescale": false, "do_normalize": false}"#;
        let settings = PreprocessorConfig::from_json(text).expect("settings").settings();
        assert_eq!((settings.mean, settings.std), ([0.0; 3], [1.0; 3]));
        assert!((settings.rescale_factor - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn photos_may_be_left_large_but_not_made_huge() {
        assert!(PreprocessorConfig::from_json(r#"{"max_pixels": 1099511627776}"#).is_ok());
        let text = r#"{"min_pixels": 1099511627776, "max_pixels": 1099511627776}"#;
        let error = PreprocessorConfig::from_json(text).unwrap_err();
        assert!(error.to_string().contains("`min_pixels` is 1099511627776"), "{error}");
    }

    #[test]
    fn a_negative_area_names_its_field() {
        let error = PreprocessorConfig::from_json(r#"{"max_pixels": -1}"#).unwrap_err();
        assert!(error.to_string().starts_with("preprocessor_config.json: `max_pixels`: "), "{error}");
        assert!(error.hint().contains("published"), "{}", error.hint());
    }
}
