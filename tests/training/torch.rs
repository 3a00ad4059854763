//! Step by step what a plain torch loop does: `golden/cases/training.json`.

use crate::run::Folder;
use fine_r1_tests::{Largest, read_json};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Of a loss; both compute in f32 and add up in different orders, six steps long.
const LOSS: f32 = 1e-4;
/// Of a gradient's norm, relative; norms go up to 70 and feel every difference of the steps before.
const NORM: f32 = 1e-3;

/// `golden/cases/training.json`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainingCases {
    /// A data set in the sharegpt form.
    rows: Value,
    /// Runs on it.
    runs: Vec<TorchRun>,
}

/// What torch found at every step.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TorchRun {
    name: String,
    /// Folder in `checkpoints/`.
    checkpoint: String,
    /// Keys of a recipe.
    settings: Map<String, Value>,
    losses: Vec<f32>,
    grad_norms: Vec<f32>,
    learning_rates: Vec<f32>,
}

#[test]
fn losses_are_those_of_torch() {
    let cases: TrainingCases = read_json("cases/training.json");
    let mut losses = Largest::new("losses of every step", LOSS);
    let mut norms = Largest::new("norms of the gradients, relative", NORM);
    for run in &cases.runs {
        let folder = Folder::with(&cases.rows, &run.checkpoint);
        // Whatever is kept for the way back: the losses are the same.
        for keep in ["gradient_checkpointing=false", "gradient_checkpointing=true"] {
            let mut settings: Vec<String> =
                run.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
            settings.extend([format!("max_steps={}", run.losses.len()), keep.to_owned()]);
            settings.extend(["disable_shuffling=true", "save_steps=100"].map(str::to_owned));
            let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
            folder.train(keep, &settings);
            let log = folder.log(keep);
            let field = |name: &str| -> Vec<f32> {
                log.iter().map(|line| line[name].as_f64().expect("a number") as f32).collect()
            };
            let at = format!("{}, {keep}", run.name);
            losses.compare(&at, &field("loss"), &run.losses);
            let relative: Vec<f32> =
                field("grad_norm").iter().zip(&run.grad_norms).map(|(ours, theirs)| ours / theirs).collect();
            norms.compare(&at, &relative, &vec![1.0; relative.len()]);
            for (ours, theirs) in field("learning_rate").iter().zip(&run.learning_rates) {
                assert!((ours - theirs).abs() <= 1e-9, "{at}: learning rate {ours}, expected {theirs}");
            }
        }
    }
    losses.check();
    norms.check();
}
