//! One verb a file.

mod cot;
mod estimate;
mod evaluate;
mod export;
mod gpu_check;
mod init;
mod inspect;
mod manifest;
mod recognize;
mod rl;
mod score;
mod sft;
mod triplets;

pub use recognize::read_photo;

use crate::cli::Command;
use crate::rl::Objective;
use anyhow::Result;

/// Does what was asked.
///
/// # Errors
/// Whatever the verb meets; the message names the file and the remedy.
pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Recognize(arguments) => recognize::run(&arguments),
        Command::Score(arguments) => score::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Manifest(arguments) => manifest::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Cot(arguments) => cot::run(&arguments),
        Command::Estimate(arguments) => estimate::run(&arguments),
        Command::Sft(arguments) => sft::run(&arguments),
        Command::Triplets(arguments) => triplets::run(&arguments),
        Command::Grpo(arguments) => rl::run(Objective::Grpo, &arguments),
        Command::Dapo(arguments) => rl::run(Objective::Dapo, &arguments),
        Command::Papo(arguments) => rl::run(Objective::Papo, &arguments),
        Command::NoisyRollout(arguments) => rl::run(Objective::NoisyRollout, &arguments),
        Command::Tapo(arguments) => rl::run(Objective::Tapo, &arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::GpuCheck(arguments) => gpu_check::run(&arguments),
    }
}
