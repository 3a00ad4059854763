//! From the bytes of an image file to the patches that the vision tower reads: decode, resize, cut.
//!
//! ```text
//! file bytes --decode--> RgbImage [height, width, 3] --smart_resize + resize_bicubic-->
//!     RgbImage [grid.h * patch_size, grid.w * patch_size, 3] --cut_patches--> Patches [patches, patch_dim]
//! ```
//!
//! Follows the slow (Pillow) image processor of Qwen2-VL:
//! <https://github.com/huggingface/transformers/blob/v4.57.1/src/transformers/models/qwen2_vl/image_processing_qwen2_vl.py>

mod bmp;
mod decode;
mod error;
mod gif;
mod jpeg;
mod orientation;
mod patches;
pub mod perturb;
mod resize;

pub use decode::{DecodeLimits, decode, decoded_size};
pub use error::ImageError;
pub use patches::{Grid, ImageSettings, Patches, cut_patches, fit, preprocess};
pub use resize::{resize_bicubic, smart_resize};
