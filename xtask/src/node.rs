//! Node, and packages from npm with the versions of a lock file, outside the checkout.

use crate::debian;
use crate::hash::hash_files;
use crate::shell::{run as step, works};
use crate::tree;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };
/// The oldest major version that every package here runs on.
const OLDEST: u32 = 18;

/// Node with npm, installed where that is possible.
///
/// # Errors
/// There is none to be had, or it is too old.
pub fn require() -> Result<()> {
    if !works(Command::new("node").arg("--version")) || !works(Command::new(NPM).arg("--version")) {
        debian::install("Node with npm", &["nodejs", "npm"])
            .with_context(|| format!("install Node {OLDEST} or newer: https://nodejs.org"))?;
    }
    let version = Command::new("node").arg("--version").output().context("cannot start node")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < OLDEST) {
        bail!("node is {version}, {OLDEST} or newer is needed\nhint: install it from https://nodejs.org");
    }
    Ok(())
}

/// Installs the packages that a folder's `package-lock.json` pins into another folder, once.
///
/// # Errors
/// npm cannot fetch them.
pub fn install(pinned: &Path, into: &Path) -> Result<()> {
    let manifests = ["package.json", "package-lock.json"].map(|name| pinned.join(name));
    let stamp = into.join("installed");
    let wanted = hash_files(&manifests)?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    require()?;
    tree::fresh(into)?;
    for manifest in &manifests {
        tree::copy_file(manifest, &into.join(manifest.file_name().unwrap_or_default()))?;
    }
    let mut command = Command::new(NPM);
    command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(into);
    step(&format!("npm ci for {}", pinned.display()), &mut command)?;
    fs::write(&stamp, wanted)?;
    Ok(())
}
