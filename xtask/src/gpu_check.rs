//! `cargo xtask gpu-check`: `trainer-native` for a GPU, built small enough to carry, and its check run.

use crate::folders::Folders;
use crate::recognize::samples;
use crate::shell::{cargo, run as step};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// The workspace's profile: optimised, without symbols.
const PROFILE: &str = "gpu";
/// The largest program that is carried to a machine which builds nothing.
const MAX_BYTES: u64 = 60 << 20;

/// What runs the kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Backend {
    /// NVIDIA.
    Cuda,
    /// Any GPU with Vulkan.
    Vulkan,
    /// The processor, to try the check itself.
    Flex,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::Vulkan => "vulkan",
            Self::Flex => "flex",
        }
    }
}

/// What was typed.
#[derive(Debug, Args)]
pub struct GpuCheckArgs {
    /// What the program is built for.
    #[arg(long, value_enum, default_value = "cuda")]
    backend: Backend,
    /// Build the program and say where it lies; to be carried to the GPU and run there.
    #[arg(long)]
    build_only: bool,
    /// For `trainer-native gpu-check`, such as `-- --preset nano --torch python3`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Builds the program, and runs its check unless it is only to be built.
///
/// # Errors
/// The program does not build, is too large to carry, or something does not pass.
pub fn run(arguments: &GpuCheckArgs) -> Result<()> {
    let folders = Folders::find()?;
    let program = build(&folders, arguments.backend)?;
    if arguments.build_only {
        return Ok(());
    }
    let mut check = Command::new(program);
    check.args(["gpu-check", "--device", arguments.backend.name()]).args(samples());
    check.arg("--out").arg(folders.gpu_check()).args(&arguments.arguments);
    step("gpu-check", &mut check)
}

fn build(folders: &Folders, backend: Backend) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--package", "trainer-native", "--profile", PROFILE, "--locked"]);
    if backend != Backend::Flex {
        command.args(["--features", backend.name()]);
    }
    step(&format!("trainer-native for {}", backend.name()), &mut command)?;
    let program = folders.program(PROFILE, "trainer-native");
    let bytes = fs::metadata(&program)?.len();
    eprintln!("{}: {:.1} MiB", program.display(), bytes as f64 / f64::from(1 << 20));
    if bytes > MAX_BYTES {
        bail!("the program is larger than {} MiB\nhint: look at what its features bring in", MAX_BYTES >> 20);
    }
    Ok(program)
}
