//! Debian's packages, installed where we may.

use crate::shell::{run as step, works};
use anyhow::{Result, bail};
use std::path::Path;
use std::process::Command;

/// Installs packages if this is Debian (or Ubuntu) and we are root, as in a container.
///
/// # Errors
/// We may not; the message names the command that would help. Or apt-get fails.
pub fn install(purpose: &str, packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if !is_debian() || !is_root() {
        bail!("{purpose} is missing{}", hint(&list));
    }
    eprintln!("{purpose} is missing; asking apt-get for {list}");
    // The lists of a fresh container are empty: they are fetched only where that is needed.
    if works(apt_get(&["install"]).arg("--simulate").args(packages))
        || step("apt-get update", &mut apt_get(&["update", "--quiet"])).is_ok()
    {
        let mut command = apt_get(&["install", "--yes", "--quiet", "--no-install-recommends"]);
        step(&format!("apt-get install {list}"), command.args(packages))?;
        return Ok(());
    }
    bail!("{purpose} is missing and apt-get cannot be used{}", hint(&list));
}

/// Whether all of these packages are installed.
#[must_use]
pub fn has(packages: &[&str]) -> bool {
    works(Command::new("dpkg").arg("--status").args(packages))
}

fn hint(list: &str) -> String {
    if is_debian() {
        format!("\nhint: run `sudo apt-get install --no-install-recommends {list}`")
    } else {
        String::new()
    }
}

fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    command
}
