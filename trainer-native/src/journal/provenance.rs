//! Where a run came from: program, packages, commit, seed, device. One line of `provenance.jsonl` for
//! every time that it was started.

use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The versions that this program was built with.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// Packages whose versions may change what a run computes or writes.
const PACKAGES: [&str; 7] =
    ["burn", "burn-autodiff", "burn-flex", "gemm", "image", "safetensors", "tokenizers"];

/// What is known of one start of a run.
#[derive(Debug, Serialize)]
pub struct Provenance {
    started_unix_secs: u64,
    from_step: usize,
    version: &'static str,
    packages: BTreeMap<&'static str, String>,
    commit: Option<Commit>,
    seed: u64,
    device: &'static str,
    threads: usize,
    arguments: Vec<String>,
}

/// The state of the repository that the program was built from, where that is still there.
#[derive(Debug, Serialize)]
struct Commit {
    id: String,
    /// Whether tracked files were other than the commit has them.
    modified: bool,
}

impl Provenance {
    /// Looks around.
    #[must_use]
    pub fn now(from_step: usize, seed: u64, device: &'static str) -> Self {
        Self {
            started_unix_secs: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            from_step,
            version: env!("CARGO_PKG_VERSION"),
            packages: packages(),
            commit: commit(),
            seed,
            device,
            threads: rayon::current_num_threads(),
            arguments: std::env::args().skip(1).collect(),
        }
    }

    /// Adds a line to the run's `provenance.jsonl`.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join("provenance.jsonl");
        let line = serde_json::to_string(self)?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| format!("cannot write {}\nhint: check that the disk has room", path.display()))
    }
}

fn packages() -> BTreeMap<&'static str, String> {
    // Where others use an older one, too, the newest is this program's: it stands last.
    let version = |name: &str| {
        let (_, after) = LOCK.rsplit_once(&format!("\nname = \"{name}\"\nversion = \""))?;
        Some(after.split_once('"')?.0.to_owned())
    };
    PACKAGES.iter().filter_map(|name| Some((*name, version(name)?))).collect()
}

/// `None` without git, or where the program was carried to another machine.
fn commit() -> Option<Commit> {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-C", env!("CARGO_MANIFEST_DIR")]).args(arguments);
        let output = git.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let id = git(&["rev-parse", "HEAD"])?;
    let modified = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(Commit { id, modified: !modified.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_packages_have_a_version() {
        let found = packages();
        assert_eq!(found.len(), PACKAGES.len(), "{found:?}");
        assert_eq!(found["burn"], "0.22.1");
        assert!(found["safetensors"].starts_with("0.8."), "{found:?}");
    }
}
