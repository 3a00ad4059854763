//! `estimate`: what a recipe will take, and what cannot be estimated.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use serde_json::{Value, json};
use std::fs;

/// How far the reckoned peak may lie from what the system measures of the run itself.
#[cfg(target_os = "linux")]
const PEAK: f64 = 0.15;

/// A recipe of two steps over pictures and words of some length.
fn folder() -> Scratch {
    let scratch = Scratch::new();
    fs::copy(golden_image("square.png"), scratch.at("square.png")).expect("a picture");
    let row = json!({
        "conversations": [
            { "from": "human", "value": "<image>What is it?" },
            { "from": "gpt", "value": "It has many colours. ".repeat(12) },
        ],
        "images": ["square.png"],
    });
    scratch.write("rows.json", Value::Array(vec![row; 32]).to_string());
    let info = json!({ "rows": { "file_name": "rows.json", "formatting": "sharegpt" } });
    scratch.write("dataset_info.json", info.to_string());
    scratch.write(
        "recipe.toml",
        format!(
            "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\noutput_dir = {:?}\n\
             max_steps = 3\nper_device_train_batch_size = 16\nfreeze_vision_tower = false\n\
             freeze_multi_modal_projector = false\n",
            golden_checkpoint("qwen2_5_vl-untied"),
            scratch.dir(),
            scratch.arg("run"),
        ),
    );
    scratch
}

fn arguments(folder: &Scratch, flags: &[&str]) -> Vec<String> {
    let recipe = folder.arg("recipe.toml");
    ["estimate", "--recipe", &recipe].iter().chain(flags).map(|word| (*word).to_owned()).collect()
}

#[test]
fn memory_and_time_are_told_before_anything_is_written() {
    let folder = folder();
    let estimate = trainer(arguments(&folder, &["--json"])).json();
    assert_eq!(estimate["steps"], 3);
    assert_eq!(estimate["samples"], 32);
    assert_eq!(estimate["weights"]["total"], estimate["weights"]["trained"]);
    let memory = &estimate["memory"];
    let parts = ["program", "weights", "optimizer", "gradients", "activations", "surplus"];
    let sum: u64 = parts.iter().map(|part| memory[part].as_u64().expect("bytes")).sum();
    assert_eq!(estimate["peak_bytes"], sum);
    let step = estimate["step_secs"].as_f64().expect("seconds");
    let total = estimate["total_secs"].as_f64().expect("seconds");
    assert!(step > 0.0 && (total - 3.0 * step).abs() < 1e-6, "{step} {total}");

    let peak = |set: &str| trainer(arguments(&folder, &["--json", "--set", set])).json();
    let bytes = |estimate: &Value| estimate["peak_bytes"].as_u64().expect("bytes");
    assert!(bytes(&peak("gradient_checkpointing=true")) < bytes(&estimate), "recomputation takes less");
    let frozen = peak("freeze_language_model=true");
    assert!(frozen["weights"]["trained"].as_u64() < estimate["weights"]["trained"].as_u64());
    assert!(bytes(&peak("per_device_train_batch_size=4")) < bytes(&estimate), "a smaller batch takes less");

    let said = trainer(arguments(&folder, &[]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for line in ["peak memory", "activations", "time "] {
        assert!(said.stdout.contains(line), "{}", said.stdout);
    }
    assert!(!folder.at("run").exists(), "an estimate writes nothing");
}

/// The peak that the system has measured when the run has ended, against what was reckoned.
#[cfg(target_os = "linux")]
#[test]
fn the_reckoned_peak_is_about_the_measured_one() {
    let folder = folder();
    for set in ["gradient_checkpointing=false", "gradient_checkpointing=true"] {
        let output = format!("output_dir={}", folder.arg(set));
        let estimate = trainer(arguments(&folder, &["--json", "--set", set])).json();
        let reckoned = estimate["peak_bytes"].as_f64().expect("bytes");
        let recipe = folder.arg("recipe.toml");
        let run = ["sft", "--recipe", &recipe, "--set", set, "--set", &output];
        let measured = crate::program::peak_bytes(run) as f64;
        let share = reckoned / measured;
        println!("{set}: reckoned {:.1} MiB, measured {:.1} MiB", reckoned / 1048576.0, measured / 1048576.0);
        assert!((share - 1.0).abs() <= PEAK, "{set}: {share:.3} of what was measured");
    }
}

#[test]
fn what_cannot_be_estimated_is_refused() {
    let folder = folder();
    let mut refusals = Refusals::default();
    refusals.expect("no recipe", ["estimate", "--recipe", &folder.arg("missing.toml")], &["missing.toml"]);
    refusals.expect("an unknown key", arguments(&folder, &["--set", "colour=red"]), &["colour"]);
    refusals.expect("all too long", arguments(&folder, &["--set", "cutoff_len=3"]), &["cutoff_len (3)"]);
    refusals.expect("no data set", arguments(&folder, &["--set", "dataset=others"]), &["others"]);
    let nowhere = ["--set", "model_name_or_path=nowhere"];
    refusals.expect("no checkpoint", arguments(&folder, &nowhere), &["nowhere"]);
    folder.write("square.png", "no picture");
    refusals.expect("a broken picture", arguments(&folder, &[]), &["square.png", "rows.json:1 (row 1)"]);
    refusals.check();
}
