//! torch beside us: a script is asked for the same measurements of the same sizes on the same device.

use super::fine_tuning::ANSWER;
use super::load::Sizes;
use super::subject::Subject;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Who measures torch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torch {
    /// A Python that has torch, and transformers for all but the ceilings.
    pub python: PathBuf,
    /// The script.
    pub script: PathBuf,
}

/// What the script is told, as JSON on its stdin.
#[derive(Debug, Serialize)]
struct Asked<'run> {
    /// As torch calls it.
    device: &'static str,
    sizes: &'run Sizes,
    /// `config.json`.
    config: Value,
    prompt: Value,
    /// Names of what is to be measured.
    parts: Vec<String>,
}

/// A line of its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// As we call it.
    pub what: String,
    /// In our unit.
    pub value: Option<f64>,
    /// Bytes at the peak.
    pub reserved_bytes: Option<u64>,
    /// Why there is no value.
    pub failure: Option<String>,
}

impl Torch {
    /// Runs the script to its end.
    ///
    /// # Errors
    /// It cannot be started, fails, or answers with something else than measurements.
    pub fn measure(
        &self,
        subject: &Subject,
        sizes: &Sizes,
        device: &str,
        parts: Vec<String>,
    ) -> Result<Vec<Measured>> {
        let asked = Asked {
            device: if device == "cuda" { "cuda" } else { "cpu" },
            sizes,
            config: serde_json::from_str(&subject.processor.config().to_json())?,
            prompt: prompt(subject)?,
            parts,
        };
        let mut child = Command::new(&self.python)
            .arg(&self.script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "cannot start {}\nhint: --torch takes the path of a Python that has torch",
                    self.python.display()
                )
            })?;
        let mut stdin = child.stdin.take().context("the script has a stdin")?;
        // A script that ends before it has read all says why on stderr.
        drop(stdin.write_all(serde_json::to_string(&asked)?.as_bytes()));
        drop(stdin);
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{} ended with {}\nhint: what it said stands above", self.script.display(), output.status);
        }
        read(&String::from_utf8_lossy(&output.stdout))
    }
}

fn prompt(subject: &Subject) -> Result<Value> {
    let grids: Vec<[usize; 3]> =
        subject.prompt.images.iter().map(|image| [image.grid.t, image.grid.h, image.grid.w]).collect();
    let processor = &subject.processor;
    Ok(json!({
        "ids": subject.prompt.ids,
        "grids": grids,
        "patch_dim": processor.config().vision.patch_dim(),
        "answer_tokens": processor.tokenizer().encode(ANSWER)?.len(),
    }))
}

/// A measurement a line.
fn read(text: &str) -> Result<Vec<Measured>> {
    text.lines()
        .map(|line| {
            serde_json::from_str(line).with_context(|| format!("the script wrote no measurement: {line}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_measurement_or_a_failure() {
        let text =
            "{\"what\": \"copy\", \"value\": 3.5}\n{\"what\": \"prefill\", \"failure\": \"out of memory\"}\n";
        let read = read(text).expect("two lines");
        assert_eq!(read[0].value, Some(3.5));
        assert_eq!(read[1].failure.as_deref(), Some("out of memory"));
        assert!(super::read("torch 2.15\n").is_err());
    }
}
