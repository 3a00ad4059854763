//! The project's own commands: `cargo xtask test`, `cargo xtask demo` and what maintainers need.

mod demo;
mod nano;
mod reference;
mod shell;
mod test;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
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
    /// Format check, clippy, all tests and the documentation: what CI runs.
    Test,
    /// Recognise the sample photos with the embedded nano model.
    Demo {
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
    /// Compare with Hugging Face transformers: loads what we save; with `--golden` remakes the golden
    /// files; with `--speed` measures both side by side. Needs Python 3.11 or newer.
    Reference {
        /// Write tests/golden anew.
        #[arg(long)]
        golden: bool,
        /// Measure speed and memory against transformers.
        #[arg(long)]
        speed: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Test => test::run(),
        Command::Demo { release, photos } => demo::run(release, &photos),
        Command::Nano { pretrain, out } => nano::run(pretrain.as_deref(), &out),
        Command::Reference { golden, speed } => reference::run(golden, speed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
