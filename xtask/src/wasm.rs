//! The browser's modules: compiled, bound to JavaScript, optimised, and kept until something changes.

use crate::bindgen;
use crate::fingerprint::fingerprint;
use crate::folders::Folders;
use crate::optimize::WasmOpt;
use crate::toolchain::{TARGET, Toolchain};
use crate::tree;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

/// Finished builds of a module that are kept, so that changing back and forth costs nothing.
const KEPT: usize = 4;

/// A crate as a module for browsers.
#[derive(Debug)]
pub struct Module {
    /// What it is called here.
    pub name: &'static str,
    /// The crate.
    pub package: &'static str,
    /// Its feature, where it has several forms.
    pub feature: Option<&'static str>,
    /// A profile of the workspace's `Cargo.toml`.
    pub profile: &'static str,
    /// For the compiler.
    pub rust_flags: &'static str,
    /// wasm-opt's level.
    pub level: &'static str,
    /// Whether small counts more than fast.
    pub for_size: bool,
    /// Folders and files of the workspace that it is made of.
    pub sources: &'static [&'static str],
    /// What is said before it is built.
    pub patience: &'static str,
}

/// The engine on the processor.
pub const CPU: Module = Module {
    name: "cpu",
    package: "fine-r1-web",
    feature: Some("cpu"),
    profile: "web-cpu",
    rust_flags: "-C target-feature=+simd128",
    level: "-O3",
    for_size: false,
    sources: &["core", "web/src", "web/Cargo.toml"],
    patience: "",
};

/// The engine on WebGPU.
pub const WEBGPU: Module = Module {
    name: "webgpu",
    package: "fine-r1-web",
    feature: Some("webgpu"),
    profile: "web-gpu",
    rust_flags: "",
    level: "-Os",
    for_size: true,
    sources: CPU.sources,
    patience: " (the first time, and after a change of its dependencies, this takes 20 minutes and more)",
};

/// The page.
pub const PAGE: Module = Module {
    name: "page",
    package: "fine-r1-www",
    feature: None,
    profile: "web-page",
    rust_flags: "",
    level: "-Oz",
    for_size: true,
    sources: &["www/src", "www/Cargo.toml", "web/src", "web/Cargo.toml"],
    patience: "",
};

impl Module {
    /// The name of its files: `<stem>.js` and `<stem>_bg.wasm`.
    #[must_use]
    pub fn stem(&self) -> String {
        self.package.replace('-', "_")
    }
}

/// Builds modules with tools that are looked for when they are needed.
#[derive(Debug)]
pub struct Workshop {
    folders: Folders,
    wasm_opt: Option<WasmOpt>,
    toolchain: OnceCell<Toolchain>,
}

impl Workshop {
    /// A workshop with wasm-opt, where that can be had.
    ///
    /// # Errors
    /// npm cannot fetch it.
    pub fn open(folders: &Folders) -> Result<Self> {
        let wasm_opt = WasmOpt::find(folders)?;
        Ok(Self { folders: folders.clone(), wasm_opt, toolchain: OnceCell::new() })
    }

    /// Whether modules are optimised.
    #[must_use]
    pub fn optimizes(&self) -> bool {
        self.wasm_opt.is_some()
    }

    /// The folder of a finished module, which is built if anything that it depends on changed.
    ///
    /// # Errors
    /// There is no compiler, or it refuses the module.
    pub fn build(&self, module: &Module) -> Result<PathBuf> {
        let version = self.wasm_opt.as_ref().map(WasmOpt::version);
        let fingerprint = fingerprint(module, version)?;
        let shelf = self.folders.cache().join(module.name);
        let finished = shelf.join(&fingerprint[..16]);
        if finished.exists() {
            eprintln!("--- {}: unchanged", module.name);
            return Ok(finished);
        }
        let fresh = shelf.join("fresh");
        tree::fresh(&fresh)?;
        let wasm = self.compile(module)?;
        let begun = Instant::now();
        bindgen::generate(&wasm, &module.stem(), &fresh)?;
        eprintln!("--- wasm-bindgen: {:.0} s", begun.elapsed().as_secs_f64());
        if let Some(wasm_opt) = &self.wasm_opt {
            wasm_opt.run(module.level, &fresh.join(format!("{}_bg.wasm", module.stem())))?;
        }
        fs::rename(&fresh, &finished)?;
        clear(&shelf)?;
        Ok(finished)
    }

    /// Runs cargo and returns the file that it made.
    fn compile(&self, module: &Module) -> Result<PathBuf> {
        let mut arguments = vec!["--package", module.package, "--profile", module.profile];
        arguments.extend(module.feature.iter().flat_map(|feature| ["--features", feature]));
        arguments.push("--message-format=json-render-diagnostics");
        let mut command = self.toolchain()?.build(&arguments, module.rust_flags, module.for_size);
        command.arg("--target-dir").arg(self.folders.compiled(module.name));
        eprintln!("--- {}: {} for {TARGET}{}", module.name, module.package, module.patience);
        let begun = Instant::now();
        let wasm = made_by(&mut command)?;
        eprintln!("--- {}: compiled in {:.0} s", module.name, begun.elapsed().as_secs_f64());
        Ok(wasm)
    }

    fn toolchain(&self) -> Result<Toolchain> {
        if let Some(toolchain) = self.toolchain.get() {
            return Ok(*toolchain);
        }
        let found = Toolchain::find()?;
        Ok(*self.toolchain.get_or_init(|| found))
    }
}

/// Runs a `cargo build` and returns the module that it names last.
fn made_by(command: &mut Command) -> Result<PathBuf> {
    let child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("a module does not build ({})", output.status);
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let made = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"));
    made.context("cargo made no .wasm file: the crate must be a cdylib or a program")
}

/// Deletes all but the latest finished builds.
fn clear(shelf: &Path) -> Result<()> {
    let mut builds: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(shelf)? {
        let entry = entry?;
        builds.push((entry.metadata()?.modified()?, entry.path()));
    }
    builds.sort();
    let old = builds.len().saturating_sub(KEPT);
    builds[..old].iter().try_for_each(|(_, build)| tree::remove(build))
}
