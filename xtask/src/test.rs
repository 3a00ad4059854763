//! `cargo xtask test`: everything that must hold before a change is taken.

use crate::shell::{cargo, run as step, works};
use anyhow::{Result, bail};
use std::process::Command;

/// Runs all checks in order of their cost.
///
/// # Errors
/// The first check that fails.
pub fn run() -> Result<()> {
    install("fmt", "rustfmt")?;
    install("clippy", "clippy")?;
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        &mut cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    )?;
    step("tests", &mut cargo(&["test", "--workspace", "--locked"]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    step("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))
}

/// Adds a component of the toolchain through rustup where it is missing.
fn install(command: &str, component: &str) -> Result<()> {
    if works(cargo(&[]).args([command, "--version"])) {
        return Ok(());
    }
    eprintln!("{component} is missing; asking rustup for it");
    if works(Command::new("rustup").args(["component", "add", component])) {
        return Ok(());
    }
    bail!(
        "{component} is missing and rustup cannot add it: install it, for example with `rustup component add {component}`"
    )
}
