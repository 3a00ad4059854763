//! `cargo xtask family`: nano after stage 1, and after every method of stage 2 with an equal budget, over several seeds.
//!
//! A seed stands for a whole run: its own stage 1 from the shipped nano-base, and every method of stage 2 from that. Each
//! method draws as many answers to as many questions; only the pictures that it shows differ.

use crate::nano::write_rationales;
use crate::shell::{root, run as step, trainer};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was typed.
#[derive(Debug, Args)]
pub struct FamilyArgs {
    /// Runs of every method, with seeds from 1 on.
    #[arg(long, value_name = "N", default_value_t = 3)]
    seeds: u64,
    /// Steps of stage 2; the recipe's where absent.
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Methods beside stage 1.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::STAGE_2)]
    methods: Vec<Method>,
    /// Folder for runs and results; what is there already is not made again.
    #[arg(long, default_value = "target/family")]
    out: PathBuf,
}

/// How a checkpoint was trained last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    Sft,
    Grpo,
    Dapo,
    Papo,
    NoisyRollout,
    Tapo,
}

impl Method {
    const STAGE_2: [Self; 5] = [Self::Grpo, Self::Dapo, Self::Papo, Self::NoisyRollout, Self::Tapo];

    /// The command of `trainer-native`.
    fn verb(self) -> &'static str {
        match self {
            Self::Sft => "sft",
            Self::Grpo => "grpo",
            Self::Dapo => "dapo",
            Self::Papo => "papo",
            Self::NoisyRollout => "noisy-rollout",
            Self::Tapo => "tapo",
        }
    }

    /// Ten answers to a question, whatever they are drawn from.
    fn answers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Sft => &[],
            Self::Grpo | Self::Dapo | Self::Papo => &[("views.anchor.answers", "10")],
            Self::NoisyRollout => &[("views.anchor.answers", "5"), ("views.noise.answers", "5")],
            Self::Tapo => &[("views.anchor.answers", "5"), ("views.positive.answers", "5")],
        }
    }
}

/// Measures of the table: their key in a summary, and what they are called.
const MEASURES: [(&str, &str); 2] = [("closed.exact", "closed world"), ("open.exact", "open world")];
const SPLITS: [&str; 2] = ["seen", "unseen"];

/// Trains and measures whatever is missing, and prints the table.
///
/// # Errors
/// A step fails; steps that were done are not done again.
pub fn run(arguments: &FamilyArgs) -> Result<()> {
    let family = Family {
        binary: trainer(true)?,
        out: std::path::absolute(root().join(&arguments.out))?,
        steps: arguments.steps,
    };
    fs::create_dir_all(&family.out)?;
    write_rationales(&family.binary, &family.out.join("data"))?;
    family.triplets()?;
    let methods: Vec<Method> = std::iter::once(Method::Sft)
        .chain(arguments.methods.iter().copied().filter(|method| *method != Method::Sft))
        .collect();
    let mut rows = Vec::new();
    for method in methods {
        let summaries: Vec<Value> =
            (1..=arguments.seeds).map(|seed| family.summary(method, seed)).collect::<Result<_>>()?;
        rows.push(row(method, &summaries)?);
    }
    let table = format!("{}\n{}\n", heading(), rows.join("\n"));
    fs::write(family.out.join("table.md"), &table)?;
    print!("{table}");
    Ok(())
}

struct Family {
    binary: PathBuf,
    out: PathBuf,
    steps: Option<usize>,
}

impl Family {
    fn trainer(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(root());
        command
    }

    fn triplets(&self) -> Result<()> {
        let airliners = root().join("tests/data/airliners");
        let folder = self.out.join("triplets");
        if folder.exists() {
            return Ok(());
        }
        let mut command = self.trainer();
        command.arg("triplets").arg("--data").arg(airliners.join("train.jsonl")).args(["--shots", "0"]);
        command.arg("--nearest").arg(airliners.join("variants.json")).arg("--out").arg(&folder);
        step("triplets", &mut command)
    }

    /// The folder of a method's run, trained to its end.
    fn train(&self, method: Method, seed: u64) -> Result<PathBuf> {
        let name = format!("{}-{seed}", method.verb());
        let run_folder = self.out.join(&name);
        if run_folder.join("model.safetensors").exists() {
            return Ok(run_folder);
        }
        let recipe = match method {
            Method::Sft => "airliners-nano.toml",
            _ => "airliners-nano-tapo.toml",
        };
        let mut command = self.trainer();
        command.arg(method.verb()).arg("--recipe").arg(root().join("trainer-native/recipes").join(recipe));
        let mut set = |key: &str, value: &str| {
            command.arg(format!("--set={key}={value}"));
        };
        let path = |folder: &Path| folder.display().to_string();
        set("output_dir", &path(&run_folder));
        set("seed", &seed.to_string());
        if method == Method::Sft {
            set("dataset_dir", &path(&self.out.join("data")));
        } else {
            set("model_name_or_path", &path(&self.train(Method::Sft, seed)?));
            set("data.train_files", &format!("[{:?}]", path(&self.out.join("triplets/triplets.jsonl"))));
            if let Some(steps) = self.steps {
                set("max_steps", &steps.to_string());
            }
            for (key, count) in method.answers() {
                set(key, count);
            }
        }
        if run_folder.exists() {
            command.arg("--resume");
        }
        step(&name, &mut command)?;
        Ok(run_folder)
    }

    fn summary(&self, method: Method, seed: u64) -> Result<Value> {
        let results = self.out.join(format!("results-{}-{seed}", method.verb()));
        let model = self.train(method, seed)?;
        let mut command = self.trainer();
        command
            .arg("evaluate")
            .arg("--model")
            .arg(model)
            .arg("--out")
            .arg(&results)
            .args(["--ablate", "none"]);
        for split in SPLITS {
            let file = format!("tests/data/airliners/test_{split}.jsonl");
            command.arg("--data").arg(root().join(file));
        }
        step("evaluate", command.stdout(std::process::Stdio::null()))?;
        let path = results.join("summary.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }
}

fn heading() -> String {
    let columns: Vec<String> = MEASURES
        .iter()
        .flat_map(|(_, title)| SPLITS.iter().map(move |split| format!("{title}, {split}")))
        .collect();
    format!("| | {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len()))
}

/// Mean and standard deviation over the seeds, in percent.
fn row(method: Method, summaries: &[Value]) -> Result<String> {
    let mut cells = Vec::new();
    for (key, _) in MEASURES {
        for split in SPLITS {
            let values: Vec<f64> = summaries
                .iter()
                .map(|summary| measured(summary, key, split).with_context(|| format!("no {key} of {split}")))
                .collect::<Result<_>>()?;
            cells.push(spread(&values));
        }
    }
    Ok(format!("| {} | {} |", method.verb(), cells.join(" | ")))
}

fn measured(summary: &Value, key: &str, split: &str) -> Option<f64> {
    summary["lines"].as_array()?.iter().find(|line| line["key"] == key)?[split]["value"].as_f64()
}

/// `60.1 ± 1.2`; the standard deviation of a sample, which one value has none of.
fn spread(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len() {
        0 | 1 => format!("{:.1}", 100.0 * mean),
        _ => format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * (squares / (count - 1.0)).sqrt()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_has_mean_and_deviation_of_every_measure() {
        let summary = |closed: f64| {
            let line = |key: &str, seen: f64| json!({ "key": key, "seen": { "value": seen }, "unseen": { "value": 0.25 } });
            json!({ "lines": [line("closed.exact", closed), line("open.exact", 0.5)] })
        };
        let found = row(Method::Tapo, &[summary(0.5), summary(0.7)]).expect("a row");
        assert_eq!(found, "| tapo | 60.0 ± 14.1 | 25.0 ± 0.0 | 50.0 ± 0.0 | 25.0 ± 0.0 |");
        assert_eq!(row(Method::Sft, &[summary(0.5)]).expect("a row"), "| sft | 50.0 | 25.0 | 50.0 | 25.0 |");
        assert!(row(Method::Sft, &[json!({ "lines": [] })]).is_err());
        assert_eq!(heading().lines().count(), 2);
    }
}
