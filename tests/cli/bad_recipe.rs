//! `sft`: recipes and data that cannot be trained on are refused by file and row.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use serde_json::{Value, json};
use std::fs;

/// A folder with a picture, a data set of two rows, and a recipe of one step.
fn run_folder() -> Scratch {
    let scratch = Scratch::new();
    fs::copy(golden_image("tiny.png"), scratch.at("tiny.png")).expect("a picture");
    scratch.write(
        "dataset_info.json",
        json!({ "rows": { "file_name": "rows.json", "formatting": "sharegpt" } }).to_string(),
    );
    scratch.write("rows.json", json!([row("What is it?"), row("Which one?")]).to_string());
    let recipe = format!(
        "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\noutput_dir = {:?}\n\
         max_steps = 1\nper_device_train_batch_size = 2\nlogging_steps = 1\nwarmup_steps = 1\n",
        golden_checkpoint("qwen2_vl"),
        scratch.dir(),
        scratch.arg("run"),
    );
    scratch.write("recipe.toml", recipe);
    scratch
}

fn row(question: &str) -> Value {
    json!({
        "conversations": [
            { "from": "human", "value": format!("<image>{question}") },
            { "from": "gpt", "value": "<think>Small.</think><answer>A dot</answer>" },
        ],
        "images": ["tiny.png"],
    })
}

fn sft(folder: &Scratch, flags: &[&str]) -> Vec<String> {
    let recipe = folder.arg("recipe.toml");
    ["sft", "--recipe", &recipe].iter().chain(flags).map(|word| (*word).to_owned()).collect()
}

#[test]
fn recipes_that_make_no_sense_are_refused() {
    let mut refusals = Refusals::default();
    let folder = run_folder();
    let recipe = folder.arg("recipe.toml");
    let missing = folder.arg("missing.toml");
    refusals.expect("no recipe", ["sft", "--recipe", &missing], &[&missing]);
    for (why, set, named) in [
        ("an unknown key", "learning_speed=1", "learning_speed"),
        ("no assignment", "learning_rate", "key=value"),
        ("a word for a number", "learning_rate=fast", "learning_rate"),
        ("a learning rate of nothing", "learning_rate=0.0", "learning_rate"),
        ("a negative learning rate", "learning_rate=-1e-3", "learning_rate"),
        ("a learning rate that is none", "learning_rate=nan", "learning_rate"),
        ("a batch of nothing", "per_device_train_batch_size=0", "per_device_train_batch_size"),
        ("a schedule that is none", "lr_scheduler_type=zigzag", "zigzag"),
        ("negative epochs", "num_train_epochs=-1.0", "num_train_epochs"),
        ("epochs that are none", "num_train_epochs=nan", "num_train_epochs"),
        ("a negative batch", "per_device_train_batch_size=-4", "per_device_train_batch_size"),
        ("no data set", "dataset=", "dataset"),
        ("a warm-up that a schedule has not", "lr_scheduler_type=constant", "constant_with_warmup"),
        ("a ratio over 1", "warmup_ratio=1.5", "warmup_ratio"),
        ("an average of itself", "ema_decay=1.0", "ema_decay"),
        ("a learning rate of a part of nothing", "vision_tower_lr=0.0", "vision_tower_lr"),
        ("an averaging that is none", "loss_averaging=median", "median"),
        ("the best of what is not measured", "load_best_model_at_end=true", "eval_dataset"),
        ("an absent data set to measure", "eval_dataset=others", "others"),
        ("another stage", "stage=dpo", "stage"),
        ("another precision", "fp16=true", "fp16"),
    ] {
        let set_epochs =
            if set.starts_with("num_train_epochs") { vec!["--set", "max_steps=0"] } else { Vec::new() };
        let flags: Vec<&str> = ["--set", set].into_iter().chain(set_epochs).collect();
        refusals.expect(why, sft(&folder, &flags), &[named]);
    }
    let text = folder.read("recipe.toml");
    folder.write("recipe.toml", "= nothing");
    refusals.expect("no TOML", sft(&folder, &[]), &[&recipe]);
    folder.write("recipe.toml", "");
    refusals.expect("an empty recipe", sft(&folder, &[]), &[&recipe, "model_name_or_path"]);
    folder.write("recipe.toml", [text.as_slice(), b"colour = \"red\"\n"].concat());
    refusals.expect("an unknown key in the file", sft(&folder, &[]), &[&recipe, "colour"]);
    refusals.check();
    assert!(!folder.at("run").exists(), "a refused recipe leaves no run behind");
}

#[test]
fn data_that_cannot_be_trained_on_names_file_and_row() {
    let mut refusals = Refusals::default();
    let refuse = |refusals: &mut Refusals, why: &str, spoil: &dyn Fn(&Scratch), named: &[&str]| {
        let folder = run_folder();
        spoil(&folder);
        refusals.expect(why, sft(&folder, &[]), named);
        assert!(!folder.at("run/checkpoint-1").exists(), "{why}: nothing was trained");
    };
    let rows = |value: Value| move |folder: &Scratch| drop(folder.write("rows.json", value.to_string()));
    let second = |value: Value| rows(json!([row("What is it?"), value]));

    refuse(
        &mut refusals,
        "no description",
        &|folder| folder.remove("dataset_info.json"),
        &["dataset_info.json"],
    );
    refuse(
        &mut refusals,
        "a damaged description",
        &|folder| folder.cut("dataset_info.json", 9),
        &["dataset_info.json"],
    );
    let other = |folder: &Scratch| {
        drop(folder.write("dataset_info.json", r#"{"others": {"file_name": "rows.json"}}"#))
    };
    refuse(&mut refusals, "an unknown name", &other, &["dataset_info.json", "rows", "others"]);
    let alpaca = |folder: &Scratch| {
        folder.write("dataset_info.json", r#"{"rows": {"file_name": "rows.json", "formatting": "csv"}}"#);
    };
    refuse(&mut refusals, "another form", &alpaca, &["dataset_info.json", "sharegpt"]);
    refuse(&mut refusals, "no rows' file", &|folder| folder.remove("rows.json"), &["rows.json"]);
    refuse(&mut refusals, "rows cut short", &|folder| folder.cut("rows.json", 40), &["rows.json"]);
    refuse(&mut refusals, "rows that are no list", &rows(json!({})), &["rows.json"]);
    refuse(&mut refusals, "no rows", &rows(json!([])), &["rows"]);
    refuse(&mut refusals, "a row that is a number", &second(json!(3)), &["rows.json", "row 2"]);
    refuse(
        &mut refusals,
        "a row without turns",
        &second(json!({ "images": [] })),
        &["rows.json", "row 2", "conversations"],
    );
    let strange = json!({ "conversations": [{ "from": "pilot", "value": "x" }] });
    refuse(&mut refusals, "a role that is none", &second(strange), &["rows.json", "row 2", "pilot"]);
    let silent = json!({ "conversations": [{ "from": "human", "value": "x" }] });
    refuse(&mut refusals, "nothing to learn", &second(silent), &["rows.json", "row 2", "assistant"]);
    let mut more = row("x");
    more["images"] = json!(["tiny.png", "tiny.png"]);
    refuse(&mut refusals, "more images than tags", &second(more), &["rows.json", "row 2", "<image>"]);
    let mut absent = row("x");
    absent["images"] = json!(["absent.png"]);
    refuse(&mut refusals, "an absent image", &second(absent), &["rows.json", "row 2", "absent.png"]);
    let mut number = row("x");
    number["images"] = json!([7]);
    refuse(&mut refusals, "an image that is a number", &second(number), &["rows.json", "row 2", "image"]);
    let broken = |folder: &Scratch| drop(folder.write("tiny.png", "no picture"));
    refuse(&mut refusals, "a broken image", &broken, &["rows.json", "row", "tiny.png"]);
    let mut spelled = row("x");
    spelled["conversations"][0]["value"] = json!("<image>and <|image_pad|>");
    refuse(&mut refusals, "the image token in a text", &second(spelled), &["rows.json", "row 2"]);
    let model = |folder: &Scratch| {
        let text = String::from_utf8(folder.read("recipe.toml")).expect("UTF-8");
        folder.write("recipe.toml", text.replace("qwen2_vl", "nowhere"));
    };
    refuse(&mut refusals, "no checkpoint to start from", &model, &["nowhere"]);
    refusals.check();
}

#[test]
fn a_run_is_neither_overwritten_nor_resumed_from_nothing() {
    let folder = run_folder();
    let mut refusals = Refusals::default();
    refusals.expect("nothing to resume", sft(&folder, &["--resume"]), &[&folder.arg("run")]);
    let run = trainer(sft(&folder, &[]));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    assert!(folder.at("run/checkpoint-1/model.safetensors").is_file());
    refusals.expect("a run is there", sft(&folder, &[]), &[&folder.arg("run"), "--resume"]);
    folder.write("run/checkpoint-1/model.safetensors", "");
    refusals.expect(
        "a damaged state",
        sft(&folder, &["--resume", "--set", "max_steps=2"]),
        &["checkpoint-1", "model.safetensors"],
    );
    refusals.check();
}
