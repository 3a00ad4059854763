//! What was typed, what it means, and how the program ends.

mod args;
mod cot;
mod evaluate_args;
mod gpu_check_args;

pub use args::*;
pub use cot::*;
pub use evaluate_args::*;
pub use gpu_check_args::*;

use crate::commands;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Done.
const DONE: u8 = 0;
/// Something is wrong with what was asked or given.
const BROKEN: u8 = 2;

/// Runs the program: exit code 0 when done, 2 when something is broken.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked_for = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            drop(error.print());
            if !asked_for {
                eprintln!("hint: --help after a verb lists what it takes");
            }
            return ExitCode::from(if asked_for { DONE } else { BROKEN });
        }
    };
    match commands::run(arguments.command) {
        Ok(()) => ExitCode::from(DONE),
        // Whoever reads our output has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::from(DONE),
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::from(BROKEN)
        }
    }
}

/// The chain of causes on one line, the remedy on the next.
#[must_use]
pub fn message(error: &anyhow::Error) -> String {
    let (mut causes, mut hint) = (Vec::new(), None);
    for cause in error.chain() {
        let text = cause.to_string();
        let (text, found) = match text.split_once("\nhint: ") {
            Some((text, found)) => (text.to_owned(), Some(found.to_owned())),
            None => (text, None),
        };
        hint = found.or(hint);
        // Some errors repeat their source in their own words.
        if !causes.iter().any(|earlier: &String| earlier.contains(&text)) {
            causes.push(text);
        }
    }
    let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    causes.join(": ") + &hint
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
