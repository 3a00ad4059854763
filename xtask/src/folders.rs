//! Where the browser's side lies: in cargo's target folder, never in the checkout.

use crate::shell::cargo;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// The folders of the build.
#[derive(Debug, Clone)]
pub struct Folders {
    target: PathBuf,
}

impl Folders {
    /// Asks cargo for its target folder.
    ///
    /// # Errors
    /// Cargo does not answer.
    pub fn find() -> Result<Self> {
        let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]).output()?;
        let metadata: serde_json::Value =
            serde_json::from_slice(&metadata.stdout).context("cargo metadata")?;
        let target =
            metadata["target_directory"].as_str().context("cargo metadata names no target directory")?;
        Ok(Self { target: PathBuf::from(target) })
    }

    /// Cargo's target folder of a module: its features and its compiler disturb no other build.
    #[must_use]
    pub fn compiled(&self, module: &str) -> PathBuf {
        self.target.join("wasm").join(module)
    }

    /// Finished modules and compressed files.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.web("cache")
    }

    /// Packages from npm.
    #[must_use]
    pub fn node(&self, purpose: &str) -> PathBuf {
        self.web("node").join(purpose)
    }

    /// The module as an npm package.
    #[must_use]
    pub fn package(&self) -> PathBuf {
        self.web("package")
    }

    /// The page with everything that it needs.
    #[must_use]
    pub fn site(&self) -> PathBuf {
        self.web("site")
    }

    /// What the comparison with other programs is made of.
    #[must_use]
    pub fn comparison(&self) -> PathBuf {
        self.web("comparison")
    }

    /// What the browser tests write.
    #[must_use]
    pub fn tests(&self) -> PathBuf {
        self.web("tests")
    }

    /// What the check of a GPU has found.
    #[must_use]
    pub fn gpu_check(&self) -> PathBuf {
        self.target.join("gpu-check")
    }

    /// A program that was built in a profile.
    #[must_use]
    pub fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target.join(profile).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }

    fn web(&self, name: &str) -> PathBuf {
        self.target.join("web").join(name)
    }
}
