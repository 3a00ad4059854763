//! `trainer-native`: make a Fine-R1 model better on this machine, ask it, and measure it.

mod checkpoint;
mod cli;
mod commands;
mod cot;
mod dataset;
mod device;
mod evaluate;
mod optimizer;
mod progress;
mod sft;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
