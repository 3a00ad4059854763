//! Kernels of our own for what decides the speed of decoding, written once in CubeCL for CUDA, Vulkan and WebGPU.
//!
//! Each computes what the network computes with burn's operations, where tensors lie on a GPU and nothing records;
//! elsewhere a function of this module says no, and the network goes on with its plain path. Tests hold both against
//! each other (`tests/kernels`).
//!
//! The form of an operation of one's own:
//! <https://github.com/tracel-ai/burn/blob/v0.22.1/crates/burn-backend-extension/README.md>.
//! Building this module needs a CubeCL runtime among burn's features, which the program chooses.

mod decode_attention;
mod gemv;
mod launch;
mod norm;
mod quantized;
mod rotary;

pub use decode_attention::{can_attend, decode_attention};
pub use gemv::{MAX_ROWS, gemv, gemv_add, gemv_swiglu, gemv_three};
pub use norm::{add_rms_norm, rms_norm};
pub use quantized::{Bits, BlockQuantized};
pub use rotary::{rotate_and_store, rotate_heads};
