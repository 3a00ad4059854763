//! `cargo xtask compare`: how fast the browser's module decodes, beside onnxruntime-web and natively.

use crate::browser::{self, Script};
use crate::folders::Folders;
use crate::hash::hash_files;
use crate::package;
use crate::reference;
use crate::shell::{root, run as step, trainer};
use crate::wasm::Workshop;
use crate::{examples, node, tree};
use anyhow::{Context, Result};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of the package onnxruntime-web: its JavaScript and its module, for each device.
const RUNTIME: [&str; 6] = [
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
];
/// What makes the decoders: they are made anew when one of these changes.
const MAKERS: [&str; 6] =
    ["checkpoints.py", "decoders.py", "onnx_decoder.py", "oracle.py", "pictures.py", "tiny_tokenizer.py"];

/// What was typed.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// On WebGPU, too: builds its module, 20 minutes and more the first time.
    #[arg(long)]
    webgpu: bool,
    /// A trainer-native that is built with --release; built where absent.
    #[arg(long, value_name = "PROGRAM")]
    native: Option<PathBuf>,
}

/// Makes two random decoders, as checkpoints and as ONNX graphs, and prints a table of medians.
///
/// # Errors
/// Something does not build or cannot be fetched, or two programs do not answer the same.
pub fn run(arguments: &CompareArgs) -> Result<()> {
    let folders = Folders::find()?;
    let native = match &arguments.native {
        Some(program) => std::path::absolute(program)?,
        None => trainer(true)?,
    };
    let decoders = make_decoders(&folders, &native)?;
    let site = lay_out(&folders, !arguments.webgpu, &decoders)?;
    let script = Script {
        name: "bench/compare.mjs",
        arguments: &[],
        site: &site,
        native: Some(&native),
        cpu_only: !arguments.webgpu,
    };
    browser::run(&folders, &script)
}

/// The decoders' folder; what is there and still right is kept.
fn make_decoders(folders: &Folders, native: &Path) -> Result<PathBuf> {
    let made = folders.comparison().join("decoders");
    let scripts = root().join("tests/reference");
    let stamp = made.with_extension("made");
    let wanted = hash_files(&MAKERS.map(|maker| scripts.join(maker)))?;
    if fs::read_to_string(&stamp).is_ok_and(|of| of == wanted) {
        return Ok(made);
    }
    tree::fresh(&made)?;
    let python = reference::environment()?;
    step("decoders", Command::new(python).arg(scripts.join("decoders.py")).arg(&made))?;
    for decoder in fs::read_dir(&made)? {
        let checkpoint = decoder?.path().join("checkpoint");
        step("manifest", Command::new(native).arg("manifest").arg(checkpoint))?;
    }
    fs::write(stamp, wanted)?;
    Ok(made)
}

/// What is served: the module, the decoders, onnxruntime-web and the worker that uses it.
fn lay_out(folders: &Folders, cpu_only: bool, decoders: &Path) -> Result<PathBuf> {
    let site = folders.comparison().join("site");
    tree::fresh(&site)?;
    package::lay_out(&Workshop::open(folders)?, cpu_only, &site.join("fine-r1"))?;
    tree::copy(decoders, &site.join("decoders"))?;
    examples::publish(&site.join("examples"))?;
    let scripts = root().join("tests/browser");
    tree::copy_file(&scripts.join("bench/peer-worker.js"), &site.join("bench/peer-worker.js"))?;
    let packages = folders.node("tests");
    node::install(&scripts, &packages)?;
    for file in RUNTIME {
        let from = packages.join("node_modules/onnxruntime-web/dist").join(file);
        tree::copy_file(&from, &site.join("onnxruntime").join(file)).context("onnxruntime-web")?;
    }
    Ok(site)
}
