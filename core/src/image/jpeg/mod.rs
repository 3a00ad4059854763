//! Decodes JPEG to the very pixels that libjpeg-turbo, and so Pillow and transformers, makes of it.
//!
//! ```text
//! bytes --reader, header--> frame, tables, scans --bits, huffman--> blocks of coefficients
//!     --sequential: idct at once | progressive: kept until the end, smooth, idct--> planes
//!     --upsample, colour--> RgbImage [height, width, 3]
//! ```
//!
//! ITU-T T.81 <https://www.w3.org/Graphics/JPEG/itu-t81.pdf> says what a file means up to the rounding of
//! transform, upsampling and colours; there it follows libjpeg-turbo 3.1.4.1, which Pillow brings along:
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/tree/3.1.4.1/src>

mod bits;
mod coefficients;
mod colour;
mod decode;
mod frame;
mod header;
mod huffman;
mod idct;
mod plane;
mod progressive;
mod reader;
mod scan;
mod sequential;
mod smooth;
mod upsample;

use super::ImageError;

pub use self::decode::{Facts, Picture, decode, facts};

/// The name that messages use.
const FORMAT: &str = "jpeg";

/// Where the coefficients of a block lie in rows; damaged blocks that run over end at the last one.
const ZIGZAG: [u8; 80] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
];

/// The error for a file that contradicts itself.
fn corrupt(reason: impl Into<String>) -> ImageError {
    ImageError::Corrupt { format: FORMAT, reason: reason.into() }
}

/// The error for a file of a kind that is not read here.
fn unsupported(feature: impl Into<String>) -> ImageError {
    ImageError::UnsupportedFeature { format: FORMAT, feature: feature.into() }
}

/// The error for a file that ends too early.
fn truncated(bytes: &[u8]) -> ImageError {
    ImageError::Truncated { format: FORMAT, found_bytes: bytes.len() }
}
