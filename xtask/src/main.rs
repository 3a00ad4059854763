//! The project's own commands: `cargo xtask test`, `cargo xtask demo` and what maintainers need.

mod bindgen;
mod browser;
mod compare;
mod compress;
mod debian;
mod demo;
mod examples;
mod family;
mod fingerprint;
mod folders;
mod gpu_check;
mod hash;
mod held_out;
mod nano;
mod node;
mod optimize;
mod package;
mod recognize;
mod reference;
mod serve;
mod shell;
mod site;
mod sizes;
mod test;
mod toolchain;
mod tree;
mod wasm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use folders::Folders;
use site::Wishes;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Fine-R1's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Format check, clippy, all tests, the documentation, and the page in a browser: what CI runs.
    Test(test::TestArgs),
    /// Build the page with the embedded nano model, serve it and open it.
    Demo(demo::DemoArgs),
    /// Write the page as a folder that any file server can serve.
    Site {
        /// Folder to write.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Leave the build for WebGPU out, which takes 20 minutes the first time.
        #[arg(long)]
        cpu_only: bool,
        /// Fail where a module is not optimised or larger than its goal.
        #[arg(long)]
        release: bool,
    },
    /// Recognise the sample photos, or the given ones, in the terminal.
    Recognize {
        /// Build with full optimisation; takes minutes longer the first time.
        #[arg(long)]
        release: bool,
        /// Photos to recognise in place of the samples.
        photos: Vec<PathBuf>,
    },
    /// Make the embedded models anew: nano-base (given its pre-training set) and nano.
    Nano {
        /// Folder of the airliners-pretrain set; without it nano starts from the shipped nano-base.
        #[arg(long)]
        pretrain: Option<PathBuf>,
        /// Folder for runs and results.
        #[arg(long, default_value = "target/nano")]
        out: PathBuf,
    },
    /// Train nano by stage 1 and by every method of stage 2 with equal budgets over several seeds, and print the table
    /// of their accuracies.
    Family(family::FamilyArgs),
    /// Measure the browser's module beside onnxruntime-web and the native program, on equal random
    /// decoders in one headless Chromium. Needs Python 3.11 or newer.
    Compare(compare::CompareArgs),
    /// Build trainer-native for a GPU, hold the GPU against the processor and measure it; tables go to
    /// target/gpu-check. On a machine without a GPU `--build-only` makes the program to carry.
    GpuCheck(gpu_check::GpuCheckArgs),
    /// Compare with Hugging Face transformers: loads what we save; with `--golden` remakes the golden
    /// files; with `--speed` measures both side by side. Needs Python 3.11 or newer.
    Reference(reference::ReferenceArgs),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Site { out, cpu_only, release } => write_site(&out, Wishes { cpu_only, release }),
        Command::Recognize { release, photos } => recognize::run(release, &photos),
        Command::Nano { pretrain, out } => nano::run(pretrain.as_deref(), &out),
        Command::Family(arguments) => family::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::GpuCheck(arguments) => gpu_check::run(&arguments),
        Command::Reference(arguments) => reference::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_site(out: &Path, wishes: Wishes) -> Result<()> {
    site::write(&Folders::find()?, wishes, out)
}
