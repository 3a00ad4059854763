//! `cargo xtask reference`: hold the project against Hugging Face transformers itself.
//!
//! The tests read golden files and need no Python; this makes them, and shows the way back: what is
//! saved here is loaded there.

use crate::shell::{root, run as step, trainer, works};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Checkpoints that are saved here and loaded there, and a case for each.
const CASES: [(&str, &str); 3] =
    [("qwen2_5_vl-untied", "two-images"), ("qwen2_5_vl-tied-bf16", "one-image"), ("qwen2_vl", "two-images")];

/// What makes tests/golden.
const GOLDEN: [&str; 7] = [
    "make_golden.py",
    "make_training.py",
    "make_contrastive.py",
    "make_adapters.py",
    "make_rl_golden.py",
    "make_sentence.py",
    "make_labelled.py",
];

/// What was typed.
#[derive(Debug, Args)]
pub struct ReferenceArgs {
    /// Write tests/golden anew.
    #[arg(long)]
    golden: bool,
    /// Measure speed and memory on a random checkpoint of 110 M instead: of all, or of what is named.
    #[arg(long, value_name = "WHAT", num_args = 0.., conflicts_with = "golden")]
    speed: Option<Vec<Speed>>,
}

/// What is measured against transformers and torch.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Speed {
    Recognize,
    Evaluate,
    Sft,
    Rl,
}

impl Speed {
    fn script(self) -> &'static str {
        match self {
            Self::Recognize => "speed.py",
            Self::Evaluate => "evaluate_speed.py",
            Self::Sft => "train_speed.py",
            Self::Rl => "rl_speed.py",
        }
    }
}

/// Loads what `export` saves with transformers and what `sft` saves of an adapter with PEFT; with the flags, remakes golden
/// files first or measures instead.
///
/// # Errors
/// Python or its packages cannot be had, or a comparison fails.
pub fn run(arguments: &ReferenceArgs) -> Result<()> {
    let python = environment()?;
    if let Some(named) = &arguments.speed {
        return measure(&python, if named.is_empty() { Speed::value_variants() } else { named });
    }
    let scripts = root().join("tests/reference");
    if arguments.golden {
        for script in GOLDEN {
            step(script, Command::new(&python).arg(scripts.join(script)))?;
        }
    }
    let binary = trainer(false)?;
    let work = root().join("target/reference");
    for (checkpoint, case) in CASES {
        let saved = work.join(checkpoint);
        if saved.exists() {
            fs::remove_dir_all(&saved)?;
        }
        let source = root().join("tests/golden/checkpoints").join(checkpoint);
        // In shards, as large checkpoints are.
        let mut export = Command::new(&binary);
        export.arg("export").arg(source).arg(&saved).args(["--dtype", "f32", "--max-shard-size", "200KB"]);
        step("export", &mut export)?;
        let mut check = Command::new(&python);
        check
            .arg(scripts.join("check_saved.py"))
            .arg(&saved)
            .args(["--golden", &format!("{checkpoint}/{case}")]);
        step(checkpoint, &mut check)?;
    }
    adapter(&python, &binary, &work.join("adapter"))
}

/// Runs transformers and the program in turns, built for release; each script prints its table.
fn measure(python: &Path, wanted: &[Speed]) -> Result<()> {
    let binary = trainer(true)?;
    let folder = root().join("target/reference/speed");
    for speed in wanted {
        let mut script = Command::new(python);
        script.arg(root().join("tests/reference").join(speed.script())).arg(&folder);
        step(speed.script(), script.arg("--binary").arg(&binary))?;
    }
    Ok(())
}

/// A row for the shortest of trainings, and what is asked of its outcome.
const ROWS: &str = r#"[{"conversations": [{"from": "human", "value": "<image>What is it?"},
    {"from": "gpt", "value": "A dot"}], "images": ["tiny.png"]}]"#;
const DATASETS: &str = r#"{"rows": {"file_name": "rows.json", "formatting": "sharegpt"}}"#;
const MESSAGES: &str = r#"[{"role": "user", "content": "What is it?"}]"#;

/// Trains an adapter and has PEFT load it: both must find the same log-probabilities.
fn adapter(python: &Path, binary: &Path, work: &Path) -> Result<()> {
    if work.exists() {
        fs::remove_dir_all(work)?;
    }
    fs::create_dir_all(work)?;
    let golden = root().join("tests/golden");
    let base = golden.join("checkpoints").join(CASES[0].0);
    let (run, score) = (work.join("run"), work.join("score.json"));
    fs::write(work.join("rows.json"), ROWS)?;
    fs::write(work.join("dataset_info.json"), DATASETS)?;
    fs::write(work.join("messages.json"), MESSAGES)?;
    let recipe = format!(
        "model_name_or_path = {base:?}\ndataset_dir = {work:?}\nmedia_dir = {:?}\ndataset = \"rows\"\n\
         output_dir = {run:?}\nfinetuning_type = \"lora\"\nuse_dora = true\nmax_steps = 5\nlearning_rate = 1e-2\n",
        golden.join("images"),
    );
    fs::write(work.join("recipe.toml"), recipe)?;
    step("sft", Command::new(binary).args(["sft", "--recipe"]).arg(work.join("recipe.toml")))?;
    let mut ask = Command::new(binary);
    ask.arg("score").arg("--model").arg(&base).arg("--adapter").arg(&run);
    ask.arg("--messages").arg(work.join("messages.json")).args(["--continuation", "A dot", "--json"]);
    step("score", ask.stdout(fs::File::create(&score)?))?;
    let mut check = Command::new(python);
    check.arg(root().join("tests/reference/check_adapter.py")).arg(&run).arg("--base").arg(&base);
    step("adapter", check.arg("--messages").arg(work.join("messages.json")).arg("--score").arg(&score))
}

/// A virtual environment with the pinned packages, made once; the path of its Python.
///
/// # Errors
/// Python or the packages cannot be had.
pub fn environment() -> Result<PathBuf> {
    let folder = root().join("target/reference/venv");
    let python = folder.join("bin/python");
    const PACKAGES: &str = "import bitsandbytes, onnx, peft, sentencepiece, torch, torchvision, transformers";
    if !works(Command::new(&python).args(["-c", PACKAGES])) {
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
