//! What can be wrong with an image, and what to do about it.

use thiserror::Error;

/// Why an image could not become patches.
///
/// Messages are lower case and name the cause; [`hint`](ImageError::hint) names the remedy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImageError {
    /// The file has no bytes at all.
    #[error("empty image file: expected a png, jpeg, webp, bmp or gif, found 0 bytes")]
    Empty,
    /// The encoded file is larger than [`DecodeLimits::max_bytes`](super::DecodeLimits).
    #[error("image file too large: expected at most {limit_bytes} bytes, found {found_bytes}")]
    TooManyBytes {
        /// The limit, in bytes of the encoded file.
        limit_bytes: usize,
        /// The size of the file in bytes.
        found_bytes: usize,
    },
    /// The header announces more pixels than [`DecodeLimits::max_pixels`](super::DecodeLimits).
    #[error("image too large: expected at most {limit_pixels} pixels, found {width} x {height}")]
    TooManyPixels {
        /// The limit, in pixels.
        limit_pixels: u64,
        /// Announced width in pixels.
        width: u32,
        /// Announced height in pixels.
        height: u32,
    },
    /// Decoding would need more memory than the limits leave it.
    #[error("decoding the {format} file needs too much memory: expected at most {limit_bytes} bytes")]
    TooMuchMemory {
        /// The format by content.
        format: &'static str,
        /// The limit on the decoder's own allocations, in bytes.
        limit_bytes: u64,
    },
    /// The bytes are no image, or one of a format that is not read here.
    #[error("unknown image format: expected a png, jpeg, webp, bmp or gif, found {found}")]
    UnknownFormat {
        /// The format where it is known, else the first bytes in hexadecimal.
        found: String,
    },
    /// The format is read here, but the file uses a feature of it that is not.
    #[error("unsupported {format} file: {feature}")]
    UnsupportedFeature {
        /// The format by content.
        format: &'static str,
        /// The feature, in the decoder's words.
        feature: String,
    },
    /// The file ends before its pixels do.
    #[error("truncated {format} file: expected more image data, found the end after {found_bytes} bytes")]
    Truncated {
        /// The format by content.
        format: &'static str,
        /// The size of the file in bytes.
        found_bytes: usize,
    },
    /// The file contradicts its format.
    #[error("corrupt {format} file: {reason}")]
    Corrupt {
        /// The format by content.
        format: &'static str,
        /// The contradiction, in the decoder's words.
        reason: String,
    },
    /// An image without pixels.
    #[error("image without pixels: expected sides of at least 1, found {width} x {height}")]
    NoPixels {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// An image too long and thin for the model.
    #[error(
        "image too thin: expected a longer side of at most {limit} times the shorter, found {width} x {height}"
    )]
    AspectRatio {
        /// The largest ratio of the longer side to the shorter.
        limit: u32,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// An image that is not a whole number of merged patches.
    #[error("image cannot be cut: expected sides divisible by {factor}, found {width} x {height}")]
    Indivisible {
        /// `patch_size * merge_size`, in pixels.
        factor: u32,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A field of the image settings that no image can satisfy.
    #[error("bad image setting `{field}`: expected {expected}, found {found}")]
    Setting {
        /// The field, as spelled in `preprocessor_config.json`.
        field: &'static str,
        /// What would do.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

impl ImageError {
    /// The remedy, one sentence in lower case, without the word "hint".
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::Empty => "choose another file: this one holds nothing",
            Self::TooManyBytes { .. } => "save the image smaller or with more compression",
            Self::TooManyPixels { .. } | Self::TooMuchMemory { .. } => {
                "scale the image down before, or save it anew with an image editor"
            }
            Self::UnknownFormat { .. } | Self::UnsupportedFeature { .. } => {
                "open the image in an image editor and save it as an ordinary png or jpeg"
            }
            Self::Truncated { .. } => "download or copy the file again: a part of it is missing",
            Self::Corrupt { .. } => "download or copy the file again, or save it anew with an image editor",
            Self::NoPixels { .. } => "choose an image with at least one pixel",
            Self::AspectRatio { .. } => "crop the image to the part that matters",
            Self::Indivisible { .. } => {
                "resize the image with smart_resize first, or call preprocess, which does"
            }
            Self::Setting { .. } => "compare preprocessor_config.json with the one published with the model",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_expected_and_found() {
        let error = ImageError::TooManyPixels { limit_pixels: 100, width: 20, height: 30 };
        assert_eq!(error.to_string(), "image too large: expected at most 100 pixels, found 20 x 30");
        assert!(error.hint().starts_with("scale the image down"));
    }
}
