//! `sft --check-data`: rows in every form that LlamaFactory reads come to the same ids, labels are those
//! of its template, and the report counts right.

use crate::program::{Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::{golden, read_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

/// A folder with pictures, and a recipe that trains on the set `rows`.
pub fn data_folder() -> Scratch {
    let scratch = Scratch::new();
    for image in ["tiny.png", "grey.png", "rgb.png", "tall.png"] {
        fs::copy(golden_image(image), scratch.at(image)).expect("a picture");
    }
    let recipe = format!(
        "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\noutput_dir = {:?}\n\
         max_steps = 1\nper_device_train_batch_size = 2\nlogging_steps = 1\n",
        golden_checkpoint("qwen2_5_vl-untied"),
        scratch.dir(),
        scratch.arg("run"),
    );
    scratch.write("recipe.toml", recipe);
    scratch
}

/// Describes the set `rows`.
pub fn describe(folder: &Scratch, entry: &Value) {
    folder.write("dataset_info.json", json!({ "rows": entry }).to_string());
}

/// The arguments of a check, with more of them.
pub fn check_arguments(folder: &Scratch, more: &[&str]) -> Vec<String> {
    let recipe = folder.arg("recipe.toml");
    ["sft", "--recipe", &recipe, "--check-data"].iter().chain(more).map(|word| (*word).to_owned()).collect()
}

/// A check that must find nothing wrong, as JSON.
pub fn check(folder: &Scratch, more: &[&str]) -> Value {
    let arguments = check_arguments(folder, &[more, &["--json"]].concat());
    let report = trainer(arguments).json();
    assert!(!folder.at("run").exists(), "a check leaves no run behind");
    report
}

/// Ids and labels of all rows.
fn samples(folder: &Scratch) -> Vec<(Value, Value)> {
    let report = check(folder, &["--show", "99"]);
    let samples = report["samples"].as_array().expect("a list").clone();
    samples.into_iter().map(|sample| (sample["input_ids"].clone(), sample["labels"].clone())).collect()
}

/// A question about a picture, its answer, and a question without one.
fn sharegpt_rows() -> Value {
    json!([
        {
            "conversations": [
                { "from": "human", "value": "<image>What is it?" },
                { "from": "gpt", "value": "<think>Small.</think><answer>A dot</answer>" },
            ],
            "images": ["tiny.png"],
        },
        { "conversations": [{ "from": "human", "value": "Why?" }, { "from": "gpt", "value": "Because." }] },
    ])
}

#[test]
fn labels_are_those_of_llamafactory_token_by_token() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Expected {
        row: usize,
        mask_history: bool,
        train_on_prompt: bool,
        input_ids: Value,
        labels: Value,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LabelsFile {
        rows: Value,
        expected: Vec<Expected>,
    }

    let file: LabelsFile = read_json("cases/labels.json");
    let folder = data_folder();
    describe(&folder, &json!({ "file_name": "rows.json", "formatting": "sharegpt" }));
    folder.write("rows.json", file.rows.to_string());
    let mut compared = 0;
    for (mask_history, train_on_prompt) in [(false, false), (true, false), (false, true)] {
        let rules = [format!("mask_history={mask_history}"), format!("train_on_prompt={train_on_prompt}")];
        let report = check(&folder, &["--show", "99", "--set", &rules[0], "--set", &rules[1]]);
        for expected in file.expected.iter().filter(|expected| {
            (expected.mask_history, expected.train_on_prompt) == (mask_history, train_on_prompt)
        }) {
            let found = &report["samples"][expected.row];
            assert_eq!(found["input_ids"], expected.input_ids, "row {}", expected.row);
            assert_eq!(found["labels"], expected.labels, "row {}: {rules:?}", expected.row);
            compared += 1;
        }
    }
    assert_eq!(compared, file.expected.len());
    assert!(compared > 0, "there is something to compare");
}

#[test]
fn every_form_comes_to_the_same_samples() {
    let folder = data_folder();
    describe(&folder, &json!({ "file_name": "rows.json", "formatting": "sharegpt" }));
    folder.write("rows.json", sharegpt_rows().to_string());
    let expected = samples(&folder);
    assert_eq!(expected.len(), 2);
    assert_ne!(expected[0], expected[1]);
    let expect = |why: &str, entry: Value, file: &str, content: &str| {
        describe(&folder, &entry);
        folder.write(file, content);
        assert_eq!(samples(&folder), expected, "{why}");
    };

    let lines: Vec<String> =
        sharegpt_rows().as_array().expect("a list").iter().map(ToString::to_string).collect();
    let sharegpt = |file: &str| json!({ "file_name": file, "formatting": "sharegpt" });
    expect("lines", sharegpt("rows.jsonl"), "rows.jsonl", &lines.join("\n\n"));
    expect("lines in .json", sharegpt("lines.json"), "lines.json", &lines.join("\n"));
    fs::create_dir(folder.at("shards")).expect("a folder");
    folder.write("shards/a.json", format!("[{}]", lines[0]));
    expect("a folder of files", sharegpt("shards"), "shards/b.jsonl", &lines[1]);

    let answer = "<think>Small.</think><answer>A dot</answer>";
    let rows = json!([
        { "instruction": "<image>What is it?", "input": "", "output": answer, "images": ["tiny.png"] },
        { "instruction": "Why?", "output": "Because." },
    ]);
    expect("alpaca", json!({ "file_name": "alpaca.json" }), "alpaca.json", &rows.to_string());
    let rows = json!([
        { "ask": "<image>What is it?", "say": answer, "picture": "tiny.png" },
        { "ask": "Why?", "say": "Because.", "picture": null },
    ]);
    let columns = json!({ "prompt": "ask", "response": "say", "images": "picture" });
    let entry = json!({ "file_name": "named.json", "formatting": "alpaca", "columns": columns });
    expect("alpaca with columns", entry, "named.json", &rows.to_string());

    let rows = json!([
        { "messages": [
            { "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "tiny.png" } },
                { "type": "text", "text": "What is it?" },
            ] },
            { "role": "assistant", "content": answer },
        ] },
        { "messages": [{ "role": "user", "content": "Why?" }, { "role": "assistant", "content": "Because." }] },
    ]);
    let entry = json!({ "file_name": "openai.json", "formatting": "openai" });
    expect("openai", entry, "openai.json", &rows.to_string());

    fs::copy(golden("cases/chat.parquet"), folder.at("chat.parquet")).expect("a file");
    let tags = json!({
        "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
    });
    let columns = json!({ "messages": "messages", "images": "images" });
    describe(
        &folder,
        &json!({ "file_name": "chat.parquet", "formatting": "sharegpt", "columns": columns, "tags": tags }),
    );
    fs::remove_file(folder.at("tiny.png")).expect("the picture");
    assert_eq!(samples(&folder), expected, "Parquet with the picture inside");
}

#[test]
fn pictures_in_parquet_are_images_of_alpaca_rows_too() {
    let folder = data_folder();
    fs::copy(golden("cases/alpaca.parquet"), folder.at("alpaca.parquet")).expect("a file");
    let columns = json!({ "prompt": "question", "response": "label", "images": "image" });
    describe(&folder, &json!({ "file_name": "alpaca.parquet", "columns": columns }));
    let inside = samples(&folder);
    let rows = json!([
        { "question": "<image>Name it.", "label": "grey", "image": "grey.png" },
        { "question": "<image>Name it.", "label": "dot", "image": "tiny.png" },
    ]);
    folder.write("rows.json", rows.to_string());
    describe(&folder, &json!({ "file_name": "rows.json", "columns": columns }));
    assert_eq!(samples(&folder), inside);
    let run = trainer([
        "sft",
        "--recipe",
        &folder.arg("recipe.toml"),
        "--set",
        &format!("output_dir={}", folder.arg("run")),
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

/// The file as Fine-R1 released it: system, user and assistant by role, one picture a row.
#[test]
fn the_released_stage_1_file_trains_as_it_is() {
    let folder = data_folder();
    let tags = json!({
        "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
        "system_tag": "system",
    });
    describe(
        &folder,
        &json!({
            "file_name": "Fine-R1-Stage1-data.json",
            "formatting": "sharegpt",
            "columns": { "messages": "messages", "images": "images" },
            "tags": tags,
        }),
    );
    let row = |question: &str, thought: &str, label: &str, image: &str| {
        json!({
            "messages": [
                { "role": "system", "content": "A conversation between User and Assistant. The user asks a question, \
                    and the Assistant solves it. The assistant first thinks about the reasoning process in the mind \
                    and then provides the user with the answer, i.e., <think> reasoning process here \
                    </think><answer> answer here </answer>" },
                { "content": format!("<image>{question}"), "role": "user" },
                { "role": "assistant", "content": format!("<think> {thought}\n</think>\n\n<answer>{label}</answer>") },
            ],
            "images": [image],
        })
    };
    let rows = json!([
        row(
            "What is the name of the airplane in this image?",
            "Analysis of Visual Features:\nTwo engines.",
            "A320",
            "rgb.png"
        ),
        row("Which bird is this?", "Candidate Subcategories:\n1. Robin", "European robin", "grey.png"),
    ]);
    folder.write("Fine-R1-Stage1-data.json", serde_json::to_string_pretty(&rows).expect("JSON"));
    let report = check(&folder, &["--show", "1"]);
    assert_eq!(report["rows"], 2);
    let trained = report["samples"][0]["trained_text"].as_str().expect("a text");
    assert_eq!(
        trained,
        "<think> Analysis of Visual Features:\nTwo engines.\n</think>\n\n<answer>A320</answer><|im_end|>\n"
    );
    let run = trainer(["sft", "--recipe", &folder.arg("recipe.toml")]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(folder.at("run/model.safetensors").is_file());
}

#[test]
fn the_report_counts_rows_tokens_and_what_becomes_of_them() {
    let folder = data_folder();
    let answer = |words: usize| vec!["yes"; words].join(" ");
    let rows: Vec<Value> =
        (1..=20).map(|number| json!({ "instruction": "Again?", "output": answer(number) })).collect();
    folder.write("rows.json", json!(rows).to_string());
    describe(&folder, &json!({ "file_name": "rows.json" }));
    let report = check(&folder, &["--show", "20"]);
    let mut lengths: Vec<u64> = report["samples"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|sample| sample["input_ids"].as_array().expect("ids").len() as u64)
        .collect();
    lengths.sort_unstable();
    let expected = json!({
        "total": lengths.iter().sum::<u64>(), "min": lengths[0], "p50": lengths[9], "p90": lengths[17],
        "p99": lengths[19], "max": lengths[19],
    });
    assert_eq!(report["tokens"], expected);
    assert!(lengths[0] < lengths[19], "rows differ");
    assert_eq!((&report["rows"], &report["bad_rows"], &report["images"]), (&json!(20), &json!(0), &json!(0)));
    assert_eq!(report["training"]["steps_per_epoch"], 10);

    let cutoff = format!("cutoff_len={}", lengths[14]);
    let report = check(&folder, &["--set", &cutoff, "--set", "val_size=0.2"]);
    assert_eq!(report["rows_over_cutoff_len"], 5);
    assert_eq!(report["training"]["samples"], 12);
    assert_eq!(report["training"]["validation_samples"], 3);

    let padding = |more: &[&str]| {
        let report = check(&folder, more);
        assert_eq!(report["training"]["samples"], 20);
        report["training"]["padding"].as_f64().expect("a share")
    };
    let (plain, grouped) = (padding(&[]), padding(&["--set", "group_by_length=true"]));
    assert!(grouped < plain / 2.0, "{grouped} of {plain}");
    let packed = check(&folder, &["--set", "packing=true", "--set", "cutoff_len=300"]);
    let sequences = packed["training"]["sequences"].as_u64().expect("a number");
    assert_eq!(sequences, lengths.iter().sum::<u64>().div_ceil(300), "as few as can be");

    let Run { code, stdout, .. } = trainer(check_arguments(&folder, &["--show", "1"]));
    assert_eq!(code, Some(0));
    for line in ["rows        20, 0 bad", "training    20 samples", "10 steps an epoch", "yes<|im_end|>"] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
}

#[test]
fn sets_are_mixed_as_their_weights_say() {
    let folder = data_folder();
    let rows = |word: &str, count: usize| {
        let rows: Vec<Value> = (0..count)
            .map(|number| json!({ "instruction": format!("{word} {number}"), "output": word }))
            .collect();
        json!(rows).to_string()
    };
    folder.write("many.json", rows("many", 30));
    folder.write("few.json", rows("few", 5));
    folder.write(
        "dataset_info.json",
        json!({ "many": { "file_name": "many.json" }, "few": { "file_name": "few.json", "num_samples": 8 } })
            .to_string(),
    );
    let count = |settings: &[&str]| {
        let settings: Vec<&str> = settings
            .iter()
            .chain(&["dataset=\"many, few\""])
            .flat_map(|setting| ["--set", *setting])
            .collect();
        check(&folder, &settings)["training"]["samples"].as_u64().expect("a number")
    };
    assert_eq!(count(&[]), 38);
    assert_eq!(count(&["max_samples=4"]), 4 + 4);
    assert_eq!(count(&["mix_strategy=interleave_under"]), 16);
    assert_eq!(count(&["mix_strategy=interleave_over"]), 60);
    assert_eq!(count(&["mix_strategy=interleave_once"]), 38);
    let over = count(&["mix_strategy=interleave_over", "interleave_probs=0.5,0.5"]);
    assert!((45..=90).contains(&over), "{over}");
}
