//! Stands in for `cubecl-llvm`, CubeCL's way from kernels to machine code through LLVM, of which
//! [`cubecl-cuda`](https://docs.rs/cubecl-cuda/0.11.3/src/cubecl_cuda/compiler.rs.html) needs the names even
//! where it compiles CUDA C++ through NVRTC.
//!
//! The published crate downloads a prebuilt LLVM while it is built, and its features leave out what
//! Hopper's tensor cores need (TMA, clusters, asynchronous copies). This one has the names that
//! `cubecl-cuda` 0.11.3 uses and no compiler: whoever asks for one gets an error that says so. What
//! cannot exist without LLVM (a PTX version, a module) is a type without values.
//!
//! `burn/cpu` and `burn/rocm` need the published crate; take the `[patch.crates-io]` of the workspace
//! away to build them.

mod compiler;
/// What the NVPTX target is called.
pub mod nvptx {
    pub mod ptx_version;
}
/// What both GPU targets share.
pub mod shared {
    pub mod lowered_features;
}

pub use compiler::{LlvmTarget, NvptxModule, PlironArtifact, PlironCompiler, PlironOptions};
