//! Runs programs, and says which and how long.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The folder of the workspace.
///
/// # Panics
/// Never: this crate lies in a folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    // Cargo's word at run time: two checkouts may share a target folder, and with it this program.
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(xtask).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Cargo, in the workspace.
#[must_use]
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs a program to its end.
///
/// # Errors
/// It cannot be started, or does not end well.
pub fn run(name: &str, command: &mut Command) -> Result<()> {
    eprintln!("--- {name}");
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    eprintln!("--- {name}: {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Whether a program runs and ends well.
#[must_use]
pub fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// The binary `trainer-native`, built.
///
/// # Errors
/// It does not build.
pub fn trainer(release: bool) -> Result<PathBuf> {
    // With the features of the whole workspace, as its tests build it: else all is compiled twice.
    let mut build = cargo(&["build", "--workspace", "--bin", "trainer-native"]);
    if release {
        build.arg("--release");
    }
    run("build trainer-native", &mut build)?;
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
    let profile = if release { "release" } else { "debug" };
    let name = format!("trainer-native{}", std::env::consts::EXE_SUFFIX);
    Ok(PathBuf::from(target).join(profile).join(name))
}
