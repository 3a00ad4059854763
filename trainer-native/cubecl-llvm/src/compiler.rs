//! The compiler's names; the compiler itself refuses every kernel.

use crate::nvptx::ptx_version::PtxVersion;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::{CompilationError, Compiler};
use cubecl_runtime::kernel::{BufferIOAttr, KernelDefinition};
use std::convert::Infallible;
use std::ffi::c_char;
use std::fmt::{Display, Formatter};

/// What is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LlvmTarget {
    /// NVIDIA.
    Nvptx,
}

/// Refuses every kernel.
#[derive(Debug, Clone)]
pub struct PlironCompiler {
    /// What would be compiled for.
    pub target: LlvmTarget,
}

/// How a kernel would be compiled.
#[derive(Debug, Clone, Default)]
pub struct PlironOptions {
    /// AMD's architecture; there is none here.
    pub arch: Option<Infallible>,
    /// NVIDIA's architecture.
    pub sm_arch: Option<SmArch>,
    /// PTX version to emit.
    pub ptx_version: Option<PtxVersion>,
    /// Whether scalars are passed in the kernel's parameters.
    pub grid_constants: bool,
}

/// A compiled kernel; there is none without LLVM.
#[derive(Debug, Clone)]
pub enum PlironArtifact {
    /// For NVIDIA.
    NvptxCode(NvptxModule),
}

/// A compiled kernel for NVIDIA; there is none without LLVM.
#[derive(Debug, Clone)]
pub struct NvptxModule {
    /// PTX with a zero at its end.
    pub ptx: Vec<c_char>,
    /// The kernel before it became PTX.
    pub ir: String,
    /// Shared memory of a launch, in bytes.
    pub shared_memory_size: usize,
    /// What happens to every buffer.
    pub io: Vec<BufferIOAttr>,
    never: Infallible,
}

impl Display for PlironArtifact {
    fn fmt(&self, _formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let Self::NvptxCode(module) = self;
        match module.never {}
    }
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn compile(
        &mut self,
        _kernel: KernelDefinition,
        _options: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM backend: build with cubecl's feature `cuda-cpp`".to_owned(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "llvm"
    }
}
