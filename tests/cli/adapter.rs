//! Adapters from outside: answers with one, and checkpoints into which one is merged.

use crate::program::{Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use burn::tensor::{DType, Int, Tensor};
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::weights::Precision;
use fine_r1_tests::{
    AdapterRecord, AdaptersFile, Largest, ModelCase, TensorFile, golden, load_folder, prepare,
};
use serde_json::{Value, json};
use std::path::Path;

/// What was asked for: f32 sums in another order.
const LOG_PROBS: f32 = 1e-4;
const LOGITS: f32 = 1e-4;

fn adapter(name: &str) -> String {
    golden("adapters").join(name).to_str().expect("a UTF-8 path").to_owned()
}

fn score(record: &AdapterRecord, model: &str, flags: &[&str]) -> Vec<f32> {
    let (case, _) = ModelCase::read(&record.checkpoint, &record.case);
    let scratch = Scratch::conversation(&case);
    let messages = scratch.arg("messages.json");
    let arguments = ["score", "--model", model, "--messages", &messages, "--json"];
    let continuation = ["--continuation", &record.continuation];
    let run = trainer(arguments.iter().chain(&continuation).chain(flags));
    serde_json::from_value(run.json()["log_probs"].clone()).expect("numbers")
}

#[test]
fn scores_with_an_adapter_are_those_of_peft() {
    let mut largest = Largest::new("log-probabilities with an adapter", LOG_PROBS);
    for record in AdaptersFile::read().adapters {
        let found =
            score(&record, &golden_checkpoint(&record.checkpoint), &["--adapter", &adapter(&record.name)]);
        largest.compare(&record.name, &found, &record.continuation_log_probs);
    }
    largest.check();
}

#[test]
fn a_merged_checkpoint_is_whole_and_answers_as_pefts() {
    let expected = TensorFile::read("cases/adapters.safetensors");
    let mut logits = Largest::new("logits of a merged checkpoint", LOGITS);
    let mut log_probs = Largest::new("log-probabilities of a merged checkpoint", LOG_PROBS);
    for record in AdaptersFile::read().adapters {
        let scratch = Scratch::new();
        let out = scratch.arg("merged");
        let base = golden_checkpoint(&record.checkpoint);
        let run = trainer(["export", &base, &out, "--dtype", "f32", "--merge", &adapter(&record.name)]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
        let found = trainer(["inspect", &out, "--json"]).json();
        for problem in ["missing", "odd", "misshaped", "problems"] {
            assert_eq!(found[problem], json!([]), "{} {problem}", record.name);
        }
        let (case, _) = ModelCase::read(&record.checkpoint, &record.case);
        let found = logits_of(&scratch.at("merged"), &case);
        let expected = expected.floats(&format!("{}.merged_logits", record.name)).values;
        logits.compare(&record.name, &found, &expected);
        log_probs.compare(&record.name, &score(&record, &out, &[]), &record.continuation_log_probs);
    }
    logits.check();
    log_probs.check();
}

fn logits_of(folder: &Path, case: &ModelCase) -> Vec<f32> {
    let recognizer = load_folder(folder, Some(Precision::F32));
    let prompt = prepare(&recognizer, &case.messages).prompt;
    let (model, config) = (recognizer.model(), recognizer.processor().config());
    let states = model.read(model.embed(&[&prompt], PaddingSide::Right, config), None, config);
    let [_, seq, hidden] = states.dims();
    let rows: Vec<i32> = case.logit_positions.iter().map(|row| *row as i32).collect();
    let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &model.device());
    let data = model.logits(states.reshape([seq, hidden]).select(0, rows)).into_data();
    data.convert_dtype(DType::F32).as_slice::<f32>().expect("numbers").to_vec()
}

#[test]
fn photos_are_recognised_and_measured_with_an_adapter() {
    let (model, adapter) = (golden_checkpoint("qwen2_5_vl-untied"), adapter("lora"));
    let ask = |flags: &[&str]| {
        let photo = golden_image("rgb.png");
        let arguments = ["recognize", &photo, "--model", &model, "--max-new-tokens", "12", "--json"];
        trainer(arguments.iter().chain(flags)).json()["token_ids"].clone()
    };
    let (plain, adapted) = (ask(&[]), ask(&["--adapter", &adapter]));
    assert_ne!(plain, adapted, "the adapter changes the answer");

    let scratch = Scratch::new();
    let row = json!({ "image": golden_image("tiny.png"), "label": "A", "options": ["A", "B"] });
    let rows = scratch.write("rows.jsonl", row.to_string());
    let run: Run = trainer([
        "evaluate",
        "--model",
        &model,
        "--adapter",
        &adapter,
        "--data",
        &rows,
        "--max-new-tokens",
        "2",
        "--json",
    ]);
    let summary: Value = run.json();
    assert_eq!(summary["sets"][0]["rows"], 1, "{summary}");
}
