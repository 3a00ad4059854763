//! `inspect`: what a checkpoint is.

use crate::program::trainer;
use crate::scratch::{Scratch, golden_checkpoint};
use fine_r1_core::weights::read_header;
use fine_r1_tests::CHECKPOINTS;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::fs;

const FIELDS: [&str; 18] = [
    "model",
    "architecture",
    "text",
    "vision",
    "vocab_size",
    "context",
    "tied_embeddings",
    "files",
    "bytes",
    "dtypes",
    "parameters",
    "total_parameters",
    "missing",
    "odd",
    "misshaped",
    "duplicates",
    "problems",
    "inference_bytes",
];

fn inspect(folder: &str) -> Value {
    trainer(["inspect", folder, "--json"]).json()
}

#[test]
fn golden_checkpoints_are_described_and_whole() {
    for checkpoint in CHECKPOINTS {
        let folder = golden_checkpoint(checkpoint);
        let found = inspect(&folder);
        let fields: Vec<&String> = found.as_object().expect("an object").keys().collect();
        assert_eq!(fields, FIELDS, "{checkpoint}");
        assert_eq!(found["model"], folder.as_str());
        let config: Value =
            serde_json::from_str(&fs::read_to_string(format!("{folder}/config.json")).expect("a config"))
                .expect("JSON");
        assert_eq!(found["architecture"], config["model_type"], "{checkpoint}");
        let text = config.get("text_config").unwrap_or(&config);
        for (ours, theirs) in [
            ("hidden_size", "hidden_size"),
            ("intermediate_size", "intermediate_size"),
            ("layers", "num_hidden_layers"),
            ("heads", "num_attention_heads"),
            ("kv_heads", "num_key_value_heads"),
        ] {
            assert_eq!(found["text"][ours], text[theirs], "{checkpoint} {ours}");
        }
        assert_eq!(found["vocab_size"], text["vocab_size"], "{checkpoint}");
        assert_eq!(found["vision"]["layers"], config["vision_config"]["depth"], "{checkpoint}");
        assert_eq!(found["tied_embeddings"], config["tie_word_embeddings"], "{checkpoint}");

        let files: Vec<String> = serde_json::from_value(found["files"].clone()).expect("names");
        let tensors: Vec<_> = files
            .iter()
            .flat_map(|file| {
                read_header(file, &fs::read(format!("{folder}/{file}")).expect("a file")).expect("a header")
            })
            .collect();
        let parameters: usize = tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum();
        assert_eq!(found["total_parameters"], parameters, "{checkpoint}");
        assert_eq!(found["bytes"], tensors.iter().map(|tensor| tensor.bytes).sum::<usize>(), "{checkpoint}");
        let dtype = if checkpoint.ends_with("bf16") { "bfloat16" } else { "float32" };
        assert_eq!(found["dtypes"], json!({ dtype: tensors.len() }), "{checkpoint}");
        for problem in ["missing", "odd", "misshaped", "problems"] {
            assert_eq!(found[problem], json!([]), "{checkpoint} {problem}");
        }
        assert_eq!(trainer(["inspect", &folder]).code, Some(0), "{checkpoint}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let copy = Scratch::checkpoint("qwen2_vl");
    let bytes = copy.read("model.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
    let lost = "model.language_model.layers.1.mlp.up_proj.weight";
    let renamed = tensors
        .tensors()
        .into_iter()
        .filter(|(name, _)| name != lost)
        .map(|(name, view)| (if name == "lm_head.weight" { "stranger".to_owned() } else { name }, view));
    let bytes = safetensors::serialize(renamed, None).expect("a file");
    copy.write("model.safetensors", bytes);
    copy.edit("config.json", |config| config["vision_config"]["mlp_ratio"] = json!(4));
    copy.remove("chat_template.json");
    copy.edit("tokenizer_config.json", |config| {
        drop(config.as_object_mut().expect("an object").remove("chat_template"))
    });
    let found = inspect(&copy.dir());
    assert_eq!(found["missing"], json!(["lm_head.weight", "model.layers.1.mlp.up_proj.weight"]));
    assert_eq!(found["odd"], json!(["stranger"]));
    let misshaped = found["misshaped"].as_array().expect("a list");
    // Two layers of three blocks, one with two biases' worth of sizes.
    assert_eq!(misshaped.len(), 9, "{found}");
    assert!(
        misshaped.iter().all(|name| name.as_str().is_some_and(|name| name.contains(".mlp.fc"))),
        "{found}"
    );
    let problems = found["problems"].as_array().expect("a list");
    assert!(
        problems.len() == 1 && problems[0].as_str().is_some_and(|problem| problem.contains("chat template")),
        "{found}"
    );
}

#[test]
fn what_cannot_be_read_is_described_and_refused() {
    let copy = Scratch::checkpoint("qwen2_5_vl-untied");
    copy.cut("model-00002-of-00002.safetensors", 1000);
    let run = trainer(["inspect", &copy.dir()]);
    assert!(run.stderr.contains("model-00002-of-00002.safetensors is damaged"), "{}", run.stderr);
    assert!(run.code == Some(2) && run.stdout.contains("architecture"), "{}", run.stdout);

    let copy = Scratch::checkpoint("qwen2_5_vl-untied");
    let found = inspect(&copy.dir());
    let files: Vec<String> = serde_json::from_value(found["files"].clone()).expect("names");
    assert_eq!(files.len(), 2);
    for file in &files {
        copy.remove(file);
    }
    let run = trainer(["inspect", &copy.dir(), "--json"]);
    assert_eq!(run.code, Some(2));
    let found: Value = serde_json::from_str(&run.stdout).expect("a description all the same");
    let total = found["parameters"].as_object().expect("parts").len();
    assert!(total > 0 && found["missing"].as_array().expect("a list").len() > 20, "{found}");
    let problems = found["problems"].as_array().expect("a list");
    for (problem, file) in problems.iter().zip(&files) {
        assert!(problem.as_str().is_some_and(|problem| problem.contains(file)), "{problem}");
    }
    assert!(run.stderr.contains(&files[0]) && run.stderr.contains("hint: "), "{}", run.stderr);
}

#[test]
fn numbers_that_are_none_are_a_problem() {
    let copy = Scratch::checkpoint("qwen2_vl");
    let bytes = copy.read("model.safetensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
    let integers = tensors.tensors().into_iter().map(|(name, view)| {
        let dtype = if name == "lm_head.weight" { Dtype::I32 } else { view.dtype() };
        let view = TensorView::new(dtype, view.shape().to_vec(), view.data()).expect("as many bytes");
        (name, view)
    });
    copy.write(
        "model.safetensors",
        safetensors::serialize(integers.collect::<Vec<_>>(), None).expect("a file"),
    );
    let found = inspect(&copy.dir());
    let problem = found["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("lm_head.weight"), "{problem}");
    let run = trainer(["manifest", &copy.dir()]);
    assert!(run.code == Some(2) && run.stderr.contains("lm_head.weight"), "{}", run.stderr);
}
