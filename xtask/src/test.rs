//! `cargo xtask test`: everything that must hold before a change is taken.

use crate::browser::{self, Script};
use crate::folders::Folders;
use crate::shell::{cargo, run as step, trainer, works};
use crate::site::{self, Wishes};
use anyhow::{Result, bail};
use clap::Args;
use std::process::Command;

/// What was typed.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// What needs a browser alone: all of it, or the named files of tests/browser.
    #[arg(long, value_name = "NAME", num_args = 0..)]
    browser: Option<Vec<String>>,
    /// In the browser: build and test the module for WebGPU, too, 20 minutes and more the first time.
    #[arg(long, requires = "browser")]
    webgpu: bool,
    /// Everything but what needs a browser.
    #[arg(long, conflicts_with_all = ["browser", "kernels"])]
    no_browser: bool,
    /// Kernels of our own alone, on a GPU that wgpu finds, Mesa's software one included.
    #[arg(long, conflicts_with = "browser")]
    kernels: bool,
}

/// Runs all checks in order of their cost.
///
/// # Errors
/// The first check that fails.
pub fn run(arguments: &TestArgs) -> Result<()> {
    match &arguments.browser {
        None if arguments.kernels => test_kernels(),
        None => {
            test_natively()?;
            if arguments.no_browser { Ok(()) } else { test_in_browser(&[], true) }
        }
        Some(names) => test_in_browser(names, !arguments.webgpu),
    }
}

fn test_natively() -> Result<()> {
    install("fmt", "rustfmt")?;
    install("clippy", "clippy")?;
    step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        // The browser's engine stands behind a feature.
        &mut cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--features=fine-r1-web/cpu",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    step("tests", &mut cargo(&["test", "--workspace", "--locked"]))?;
    let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked"]);
    step("documentation", doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn test_kernels() -> Result<()> {
    let selection = ["--package=fine-r1-tests", "--features=kernels", "--test=kernels"];
    step("kernels", cargo(&["test", "--locked"]).args(selection))
}

fn test_in_browser(names: &[String], cpu_only: bool) -> Result<()> {
    let folders = Folders::find()?;
    let native = trainer(false)?;
    let site = site::build(&folders, Wishes { cpu_only, ..Wishes::default() })?;
    eprintln!("--- tests in the browser");
    let script = Script { name: "run.mjs", arguments: names, site: &site, native: Some(&native), cpu_only };
    browser::run(&folders, &script)
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
