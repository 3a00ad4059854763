//! `export` and `init`: checkpoints that are written.

use crate::program::trainer;
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::{CHECKPOINTS, Largest, ModelCase};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Files that are copied as they are.
const COPIED: [&str; 6] = [
    "generation_config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.json",
    "chat_template.jinja",
];

/// What rounding every weight to 11 bits may do to a log-probability of a golden model.
const F16_LOG_PROBS: f32 = 0.05;
/// What rounding every weight to 8 bits may do.
const BF16_LOG_PROBS: f32 = 0.5;

fn log_probs(model: &str, conversation: &Scratch, continuation: &str) -> Vec<f32> {
    let messages = conversation.arg("messages.json");
    let run = trainer([
        "score",
        "--model",
        model,
        "--messages",
        &messages,
        "--continuation",
        continuation,
        "--json",
    ]);
    serde_json::from_value(run.json()["log_probs"].clone()).expect("numbers")
}

#[test]
fn an_exported_checkpoint_is_whole_and_scores_alike() {
    for checkpoint in CHECKPOINTS {
        let (case, _) = ModelCase::read(checkpoint, "one-image");
        let (model, conversation) = (golden_checkpoint(checkpoint), Scratch::conversation(&case));
        let expected = log_probs(&model, &conversation, &case.continuation);
        for (dtype, torch, what, limit) in [
            ("f32", "float32", "log-probabilities from f32", 0.0),
            ("f16", "float16", "log-probabilities from f16", F16_LOG_PROBS),
            ("bf16", "bfloat16", "log-probabilities from bf16", BF16_LOG_PROBS),
        ] {
            let scratch = Scratch::new();
            let out = scratch.arg("new/folder");
            let run = trainer(["export", &model, &out, "--dtype", dtype]);
            assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
            let found = trainer(["inspect", &out, "--json"]).json();
            let names: Vec<&String> = found["dtypes"].as_object().expect("an object").keys().collect();
            assert_eq!(names, [torch], "{checkpoint} {dtype}");
            let before = trainer(["inspect", &model, "--json"]).json();
            for same in
                ["architecture", "text", "vision", "vocab_size", "context", "tied_embeddings", "parameters"]
            {
                assert_eq!(found[same], before[same], "{checkpoint} {dtype} {same}");
            }
            for problem in ["missing", "odd", "misshaped", "problems"] {
                assert_eq!(found[problem], json!([]), "{checkpoint} {dtype} {problem}");
            }
            let config: Value =
                serde_json::from_slice(&fs::read(Path::new(&out).join("config.json")).expect("a config"))
                    .expect("JSON");
            assert_eq!(config["torch_dtype"], torch, "{checkpoint} {dtype}");
            for file in COPIED {
                let read = |folder: &str| fs::read(Path::new(folder).join(file)).ok();
                assert_eq!(read(&out), read(&model), "{checkpoint} {dtype} {file}");
            }
            // A bf16 checkpoint loses nothing in f32 or bf16.
            let limit = if checkpoint.ends_with("bf16") && dtype == "bf16" { 0.0 } else { limit };
            let mut largest = Largest::new(what, limit);
            largest.compare(checkpoint, &log_probs(&out, &conversation, &case.continuation), &expected);
            largest.check();
        }
    }
}

#[test]
fn a_fresh_checkpoint_is_whole_and_answers() {
    let scratch = Scratch::new();
    let corpus =
        scratch.write("corpus.txt", "The airliner has two engines.\nWhich aircraft variant is this?\n");
    let make = |name: &str, seed: &str| {
        let out = scratch.arg(name);
        let run = trainer(["init", "--preset", "nano", "--corpus", &corpus, "--out", &out, "--seed", seed]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
        out
    };
    let (first, again, other) = (make("first", "1"), make("again", "1"), make("other", "2"));
    let weights = |folder: &str| fs::read(Path::new(folder).join("model.safetensors")).expect("weights");
    assert!(weights(&first) == weights(&again), "the same seed draws the same weights");
    assert!(weights(&first) != weights(&other), "another seed draws others");
    let found = trainer(["inspect", &first, "--json"]).json();
    for problem in ["missing", "odd", "misshaped", "problems"] {
        assert_eq!(found[problem], json!([]), "{problem}");
    }
    let run = trainer([
        "recognize",
        &golden_image("rgb.png"),
        "--model",
        &first,
        "--max-new-tokens",
        "2",
        "--json",
    ]);
    assert_eq!(run.json()["new_tokens"], 2);
}

#[test]
fn weights_go_into_shards_of_the_size_that_is_asked_for() {
    const LARGEST: usize = 200_000;
    let (model, scratch) = (golden_checkpoint("qwen2_5_vl-tied-bf16"), Scratch::new());
    let out = scratch.arg("shards");
    let run = trainer(["export", &model, &out, "--dtype", "bf16", "--max-shard-size", "200KB"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let found = trainer(["inspect", &out, "--json"]).json();
    let files = found["files"].as_array().expect("a list");
    assert!(files.len() > 1, "{found}");
    for file in files {
        let bytes = scratch.read(&format!("shards/{}", file.as_str().expect("a name")));
        let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
        let sizes: Vec<usize> = tensors.iter().map(|(_, view)| view.data().len()).collect();
        assert!(sizes.iter().sum::<usize>() <= LARGEST || sizes.len() == 1, "{file}: {sizes:?}");
    }
    let (case, _) = ModelCase::read("qwen2_5_vl-tied-bf16", "one-image");
    let conversation = Scratch::conversation(&case);
    let scores = |folder: &str| log_probs(folder, &conversation, &case.continuation);
    assert_eq!(scores(&out), scores(&model));
    for size in ["0", "5XB", "GB", "1.5GB"] {
        let run =
            trainer(["export", &model, &scratch.arg("none"), "--dtype", "f32", "--max-shard-size", size]);
        assert!(run.code == Some(2) && run.stderr.contains("--max-shard-size"), "{}", run.stderr);
    }
}
