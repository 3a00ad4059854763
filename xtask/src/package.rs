//! The module as an npm package: hand-written JavaScript, both builds of the engine, the licence.

use crate::shell::root;
use crate::tree;
use crate::wasm::{CPU, WEBGPU, Workshop};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands in for an engine that was left out: pages that want it learn why, and take the processor.
const LEFT_OUT: &str = r#"// This folder was built without the engine for WebGPU.
export default async function init() {
  throw { code: "noApi", message: "this site was built without WebGPU", hint: "build it without --cpu-only" };
}
"#;

/// Lays the package out anew in a folder; `cpu_only` leaves the build for WebGPU out.
///
/// # Errors
/// A module does not build, or a file cannot be written.
pub fn lay_out(workshop: &Workshop, cpu_only: bool, package: &Path) -> Result<()> {
    let modules = if cpu_only { vec![CPU] } else { vec![CPU, WEBGPU] };
    let built = modules
        .iter()
        .map(|module| Ok((module.name, workshop.build(module)?)))
        .collect::<Result<Vec<(&str, PathBuf)>>>()?;
    tree::fresh(package)?;
    tree::copy(&root().join("web/js"), package)?;
    tree::copy_file(&root().join("LICENSE"), &package.join("LICENSE"))?;
    for (name, folder) in built {
        tree::copy(&folder, &package.join(name))?;
    }
    if cpu_only {
        let stand_in = package.join(WEBGPU.name);
        fs::create_dir_all(&stand_in)?;
        fs::write(stand_in.join(format!("{}.js", WEBGPU.stem())), LEFT_OUT)?;
    }
    Ok(())
}
