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

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// glibc hands every large tensor back to the kernel and has its pages cleared anew for the next one,
/// which made training half as slow again; this one keeps them.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
