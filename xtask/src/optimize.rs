//! wasm-opt on finished modules: smaller, or faster.

use crate::folders::Folders;
use crate::node;
use crate::shell::{root, run as step};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What rustc's modules use, and every browser with WebGPU or WebAssembly SIMD knows.
const FEATURES: [&str; 7] = [
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
];

/// wasm-opt of the npm package binaryen.
#[derive(Debug, Clone)]
pub struct WasmOpt {
    script: PathBuf,
    version: String,
}

impl WasmOpt {
    /// Installs it; where there is no Node, says so.
    ///
    /// # Errors
    /// npm cannot fetch it.
    pub fn find(folders: &Folders) -> Result<Option<Self>> {
        let into = folders.node("build");
        if let Err(error) = node::require() {
            eprintln!("warning: modules stay unoptimised, larger than need be: {error:#}");
            return Ok(None);
        }
        node::install(&root().join("xtask/node"), &into)?;
        let package = into.join("node_modules/binaryen");
        let manifest: serde_json::Value =
            serde_json::from_slice(&fs::read(package.join("package.json"))?).context("binaryen")?;
        let version = manifest["version"].as_str().context("binaryen has no version")?.to_owned();
        Ok(Some(Self { script: package.join("bin/wasm-opt"), version }))
    }

    /// The version, which belongs to the identity of what it makes.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Optimises a module in place.
    ///
    /// # Errors
    /// wasm-opt refuses it.
    pub fn run(&self, level: &str, wasm: &Path) -> Result<()> {
        let smaller = wasm.with_extension("optimized");
        let mut command = Command::new("node");
        command.arg(&self.script).arg(wasm).arg("--output").arg(&smaller).arg(level).args(FEATURES);
        step(&format!("wasm-opt {level}"), &mut command)?;
        fs::rename(&smaller, wasm)?;
        Ok(())
    }
}
