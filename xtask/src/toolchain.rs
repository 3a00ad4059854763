//! A compiler for `wasm32-unknown-unknown`: rustup's, or else Debian's with its own standard library.

use crate::debian;
use crate::shell::{cargo, works};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// What the modules are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for browsers, the sources of its standard library, and a linker.
const PACKAGES: [&str; 4] = ["rustc-web", "rust-web-src", "rust-web-llvm", "lld-22"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The workspace's `rust-version`.
const OLDEST: (u32, u32) = (1, 95);

/// Who compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toolchain {
    /// rustup's compiler with the target's standard library.
    Rustup,
    /// Debian's compiler, driven by rustup's cargo, which builds the standard library too.
    Debian,
}

impl Toolchain {
    /// Finds a compiler, and installs what is missing where that is possible.
    ///
    /// # Errors
    /// There is none to be had; the message says what to install.
    pub fn find() -> Result<Self> {
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        eprintln!("the target {TARGET} is missing; asking rustup for it");
        if works(Command::new("rustup").args(["target", "add", TARGET])) {
            return Ok(Self::Rustup);
        }
        eprintln!("rustup cannot add it; taking Debian's compiler");
        if !debian::has(&PACKAGES) {
            debian::install(&format!("a compiler for {TARGET}"), &PACKAGES).with_context(|| {
                format!("the browser's modules cannot be built: `rustup target add {TARGET}` fails, too")
            })?;
        }
        let (major, minor) = debian_version().unwrap_or_default();
        if (major, minor) < OLDEST {
            bail!(
                "{DEBIAN_RUSTC} is version {major}.{minor}, {}.{} or newer is needed\nhint: run `apt-get update` and upgrade rustc-web",
                OLDEST.0,
                OLDEST.1
            );
        }
        Ok(Self::Debian)
    }

    /// `cargo build` for browsers.
    #[must_use]
    pub fn build(self, arguments: &[&str], rust_flags: &str, for_size: bool) -> Command {
        let mut command = cargo(&["build", "--target", TARGET]);
        command.args(arguments).env("RUSTFLAGS", rust_flags).env_remove("CARGO_ENCODED_RUSTFLAGS");
        if self == Self::Debian {
            command.env("RUSTC", DEBIAN_RUSTC).env("RUSTC_BOOTSTRAP", "1");
            // `cargo xtask` points it at the libraries of rustup's compiler.
            command.env_remove("LD_LIBRARY_PATH");
            command.arg("-Zbuild-std=std,panic_abort");
            if for_size {
                command.arg("-Zbuild-std-features=optimize_for_size");
            }
        }
        command
    }
}

fn rustup_has_target() -> bool {
    let list = Command::new("rustup").args(["target", "list", "--installed"]).output();
    list.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).lines().any(|line| line.trim() == TARGET))
}

fn debian_version() -> Option<(u32, u32)> {
    let output = Command::new(DEBIAN_RUSTC).arg("--version").env_remove("LD_LIBRARY_PATH").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// The first two numbers of `rustc 1.96.0 (…)`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert!(parse_version("rustc 1.100.2") > Some(OLDEST));
        assert_eq!(parse_version("rustc"), None);
    }
}
