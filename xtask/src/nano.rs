//! `cargo xtask nano`: the embedded models from their data, with the recipes that ship.
//!
//! Needs the airliners-pretrain set (which is not part of the repository) for nano-base; nano itself
//! comes from nano-base and tests/data/airliners alone.

use crate::held_out::hold_out;
use crate::shell::{root, run as step, trainer};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seeds of the texts, as the model cards state them.
const TEXT_SEED: &str = "20260";

/// Makes the models and measures them; the results stay in `out`.
///
/// # Errors
/// A step fails; steps that were done are not done again.
pub fn run(pretrain: Option<&Path>, out: &Path) -> Result<()> {
    let binary = trainer(true)?;
    let make = Make { binary, out: std::path::absolute(root().join(out))? };
    fs::create_dir_all(&make.out)?;
    let airliners = root().join("tests/data/airliners");
    write_rationales(&make.binary, &make.out.join("data"))?;
    let base = match pretrain {
        Some(pretrain) => make.base(pretrain)?,
        None => root().join("trainer-native/models/nano-base"),
    };
    let nano = make.train("nano", &base, &root().join("tests/data"))?;
    for (model, answer_only) in [(&base, true), (&nano, false)] {
        make.evaluate(model, &airliners, answer_only)?;
    }
    eprintln!("made {}", nano.display());
    Ok(())
}

/// Writes the texts of stage 1 into a folder.
///
/// # Errors
/// The program fails.
pub fn write_rationales(binary: &Path, data: &Path) -> Result<()> {
    let airliners = root().join("tests/data/airliners");
    let rows = airliners.join("train.jsonl");
    write_texts(binary, data, "rationale", &airliners.join("variants.json"), &rows, "airliners")
}

fn write_texts(
    binary: &Path,
    data: &Path,
    kind: &str,
    variants: &Path,
    rows: &Path,
    image_root: &str,
) -> Result<()> {
    let mut command = Command::new(binary);
    command.current_dir(root());
    // A name is always the same; the others vary.
    let per_image = if kind == "name" { "1" } else { "4" };
    command.args(["cot", "--teacher", "facts", "--kind", kind, "--per-image", per_image]);
    command.args(["--seed", TEXT_SEED, "--image-root", image_root]);
    command.arg("--variants").arg(variants).arg("--images").arg(rows).arg("--out").arg(data);
    step(kind, &mut command)
}

struct Make {
    binary: PathBuf,
    out: PathBuf,
}

impl Make {
    fn trainer(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(root());
        command
    }

    fn base(&self, pretrain: &Path) -> Result<PathBuf> {
        let media = self.out.join("media");
        unpack(&pretrain.join("images"), &media.join("airliners-pretrain/images"))?;
        let prefix = "airliners-pretrain/images";
        let data = self.out.join("data");
        for kind in ["name", "caption"] {
            let (variants, rows) = (pretrain.join("variants.json"), pretrain.join("pretrain.jsonl"));
            write_texts(&self.binary, &data, kind, &variants, &rows, prefix)?;
        }
        let mut corpus = fs::read(data.join("captions.txt"))?;
        corpus.extend(fs::read(data.join("rationales.txt"))?);
        fs::write(data.join("corpus.txt"), corpus)?;
        let init = self.out.join("init");
        if !init.exists() {
            let mut command = self.trainer();
            command.args(["init", "--preset", "nano", "--seed", "1", "--corpus"]);
            step("init", command.arg(data.join("corpus.txt")).arg("--out").arg(&init))?;
        }
        hold_out(&data, "names")?;
        let vision = self.train("nano-vision", &init, &media)?;
        let large = self.train("nano-vision-large", &vision, &media)?;
        let names = self.train("nano-names", &large, &media)?;
        self.train("nano-base", &names, &media)
    }

    /// Trains by the recipe of the same name and writes the result in f16; what is trained further is
    /// trained from there.
    fn train(&self, name: &str, start: &Path, media: &Path) -> Result<PathBuf> {
        let result = self.out.join(name);
        if result.exists() {
            return Ok(result);
        }
        let run_folder = self.out.join(format!("run-{name}"));
        let set = |key: &str, path: &Path| format!("--set={key}={}", path.display());
        let mut sft = self.trainer();
        sft.args(["sft", "--recipe", &format!("trainer-native/recipes/airliners-{name}.toml")]);
        sft.arg(set("model_name_or_path", start)).arg(set("dataset_dir", &self.out.join("data")));
        sft.arg(set("media_dir", media)).arg(set("output_dir", &run_folder));
        if run_folder.exists() {
            sft.arg("--resume");
        }
        step(name, &mut sft)?;
        let mut export = self.trainer();
        step("export", export.arg("export").arg(&run_folder).arg(&result).args(["--dtype", "f16"]))?;
        step("manifest", self.trainer().arg("manifest").arg(&result))?;
        Ok(result)
    }

    fn evaluate(&self, model: &Path, airliners: &Path, answer_only: bool) -> Result<()> {
        let mut command = self.trainer();
        command.arg("evaluate").arg("--model").arg(model);
        for file in ["test_seen.jsonl", "test_unseen.jsonl"] {
            command.arg("--data").arg(airliners.join(file));
        }
        command.arg("--probe").arg(airliners.join("train.jsonl"));
        if answer_only {
            command.arg("--answer-only");
        }
        step("evaluate", &mut command)
    }
}

/// Unpacks `<class>.tar` into a folder of that name, once.
fn unpack(archives: &Path, into: &Path) -> Result<()> {
    let mut found = 0;
    for entry in fs::read_dir(archives).with_context(|| format!("cannot read {}", archives.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "tar") {
            continue;
        }
        found += 1;
        let folder = into.join(path.file_stem().unwrap_or_default());
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            tar::Archive::new(File::open(&path)?)
                .unpack(&folder)
                .with_context(|| format!("cannot unpack {}", path.display()))?;
        }
    }
    if found == 0 {
        bail!(
            "{} holds no archives: --pretrain names the folder of the airliners-pretrain set",
            archives.display()
        );
    }
    Ok(())
}
