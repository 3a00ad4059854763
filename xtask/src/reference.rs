//! `cargo xtask reference`: hold the project against Hugging Face transformers itself.
//!
//! The tests read golden files and need no Python; this makes them, and shows the way back: what is
//! saved here is loaded there.

use crate::shell::{root, run as step, trainer, works};
use anyhow::{Result, bail};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Checkpoints that are saved here and loaded there, and a case for each.
const CASES: [(&str, &str); 3] =
    [("qwen2_5_vl-untied", "two-images"), ("qwen2_5_vl-tied-bf16", "one-image"), ("qwen2_vl", "two-images")];

/// Loads what `export` saves with transformers; with the flags, remakes golden files or measures.
///
/// # Errors
/// Python or its packages cannot be had, or a comparison fails.
pub fn run(golden: bool, speed: bool) -> Result<()> {
    let python = environment()?;
    let scripts = root().join("tests/reference");
    if golden {
        step("golden files", Command::new(&python).arg(scripts.join("make_golden.py")))?;
        step("golden CLIP and SigLIP", Command::new(&python).arg(scripts.join("make_contrastive.py")))?;
    }
    let binary = trainer(speed)?;
    let work = root().join("target/reference");
    for (checkpoint, case) in CASES {
        let saved = work.join(checkpoint);
        if saved.exists() {
            fs::remove_dir_all(&saved)?;
        }
        let source = root().join("tests/golden/checkpoints").join(checkpoint);
        step("export", Command::new(&binary).arg("export").arg(source).arg(&saved).args(["--dtype", "f32"]))?;
        let mut check = Command::new(&python);
        check
            .arg(scripts.join("check_saved.py"))
            .arg(&saved)
            .args(["--golden", &format!("{checkpoint}/{case}")]);
        step(checkpoint, &mut check)?;
    }
    if speed {
        let folder = work.join("speed");
        step(
            "speed",
            Command::new(&python).arg(scripts.join("speed.py")).arg(folder).arg("--binary").arg(binary),
        )?;
    }
    Ok(())
}

/// A virtual environment with the pinned packages, made once.
fn environment() -> Result<PathBuf> {
    let folder = root().join("target/reference/venv");
    let python = folder.join("bin/python");
    if !works(Command::new(&python).args(["-c", "import torch, transformers, torchvision, sentencepiece"])) {
        if !works(Command::new("python3").arg("--version")) {
            bail!("python3 is missing: install Python 3.11 or newer with its venv module");
        }
        step("venv", Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let requirements = root().join("tests/reference/requirements.txt");
        step(
            "packages",
            Command::new(folder.join("bin/pip")).args(["install", "--requirement"]).arg(requirements),
        )?;
    }
    Ok(python)
}
