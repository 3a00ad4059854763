//! `cot --teacher facts`: templates over an attribute file, through its own rows and through labelled pictures.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::workspace;
use serde_json::Value;
use std::fs;

fn airliners(name: &str) -> String {
    workspace().join("tests/data/airliners").join(name).to_str().expect("a UTF-8 path").to_owned()
}

fn records(scratch: &Scratch, name: &str) -> Vec<Value> {
    serde_json::from_slice(&scratch.read(name)).expect("a list")
}

#[test]
fn rows_of_ones_own_become_conversations_as_ever() {
    let scratch = Scratch::new();
    let rows = scratch.write("rows.jsonl", r#"{"image": "a320/1.jpg", "label": "A320"}"#);
    let variants = airliners("variants.json");
    let out = scratch.arg("out");
    let typed = [
        "cot",
        "--variants",
        &variants,
        "--images",
        &rows,
        "--image-root",
        "r",
        "--out",
        &out,
        "--per-image",
        "2",
    ];
    let run = trainer(typed);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    let records = records(&scratch, "out/rationales.json");
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|record| record["images"][0] == "r/a320/1.jpg"));
    assert!(scratch.at("out/rationales.txt").is_file());
}

/// The same filters hold for facts, and `sft` trains on what is left.
#[test]
fn facts_pass_the_filters_and_can_be_trained_on() {
    let scratch = Scratch::new();
    for label in ["A320", "737-300", "Concorde"] {
        fs::create_dir_all(scratch.at(&format!("data/{label}"))).expect("a folder");
        fs::copy(golden_image("tiny.png"), scratch.at(&format!("data/{label}/1.png"))).expect("a picture");
    }
    let (variants, data, out) = (airliners("variants.json"), scratch.arg("data"), scratch.arg("out"));
    let typed = ["cot", "--variants", &variants, "--data", &data, "--out", &out, "--min-words", "5"];
    let run = trainer(typed);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(records(&scratch, "out/rationales.json").len(), 2);
    let report: Value = serde_json::from_slice(&scratch.read("out/cot-report.json")).expect("an object");
    assert_eq!((&report["teacher"], &report["left_out"]), (&"facts".into(), &1.into()));
    assert_eq!((&report["classes"], &report["classes_kept"]), (&3.into(), &2.into()));
    assert_eq!(report["rejections"], serde_json::json!({ "refused": 1 }));
    let rejected = String::from_utf8(scratch.read("out/rejected.jsonl")).expect("UTF-8");
    assert!(rejected.contains("`Concorde` is not in the variants file"), "{rejected}");

    let recipe = format!(
        "model_name_or_path = {:?}\ndataset_dir = {out:?}\nmedia_dir = {data:?}\ndataset = \"rationales\"\noutput_dir = {:?}\n\
         max_steps = 1\nper_device_train_batch_size = 2\nlogging_steps = 1\ncutoff_len = 4096\n",
        golden_checkpoint("qwen2_vl"),
        scratch.arg("run"),
    );
    let recipe = scratch.write("recipe.toml", recipe);
    let run = trainer(["sft", "--recipe", &recipe]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(scratch.at("run/checkpoint-1/model.safetensors").is_file());
}

#[test]
fn what_a_teacher_lacks_is_asked_for() {
    let scratch = Scratch::new();
    let out = scratch.arg("out");
    let mut refusals = Refusals::default();
    refusals.expect_usage("neither rows nor pictures", ["cot", "--out", &out], &["--variants", "--images"]);
    let data = scratch.dir();
    refusals.expect_usage(
        "both",
        ["cot", "--out", &out, "--data", &data, "--images", "x"],
        &["--images", "--data"],
    );
    for flags in [
        ["--shots", "0"],
        ["--attempts", "0"],
        ["--concurrency", "0"],
        ["--temperature", "nan"],
        ["--language", "xx"],
        ["--layout", "heap"],
        ["--server-body", "[]"],
    ] {
        refusals.expect_usage(
            &flags.join(" "),
            ["cot", "--out", &out, "--data", &data].iter().chain(&flags),
            &[flags[0]],
        );
    }
    refusals.expect("no attribute file", ["cot", "--out", &out, "--data", &data], &["--variants"]);
    let missing = scratch.arg("missing.json");
    refusals.expect(
        "a missing one",
        ["cot", "--out", &out, "--data", &data, "--variants", &missing],
        &["missing.json"],
    );
    let teacher = ["cot", "--out", &out, "--data", &data, "--teacher", "local", "--model", &missing];
    refusals.expect("no checkpoint", teacher, &["missing.json"]);
    let files = ["cot", "--teacher", "server", "--variants", "x", "--images", "y", "--out", &out];
    refusals.expect("a server without pictures", files, &["--data"]);
    refusals.check();
}
