//! `grpo` to `tapo`: recipes and rows that cannot be learnt from are refused by file, row and key.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::fs;

/// A picture, a row, and a recipe of one step.
fn run_folder() -> Scratch {
    let scratch = Scratch::new();
    fs::copy(golden_image("tiny.png"), scratch.at("tiny.png")).expect("a picture");
    scratch.write("rows.jsonl", row().to_string());
    let recipe = format!(
        "model_name_or_path = {:?}\noutput_dir = {:?}\nmax_steps = 1\n[data]\ntrain_files = [{:?}]\n\
         [rollout]\nprompts_per_step = 1\nmax_new_tokens = 3\n",
        golden_checkpoint("qwen2_vl"),
        scratch.arg("run"),
        scratch.arg("rows.jsonl"),
    );
    scratch.write("recipe.toml", recipe);
    scratch
}

fn row() -> Value {
    json!({ "problem": "<image>What is it?", "answer": "A dot", "images": ["tiny.png"] })
}

fn rl<'a>(verb: &'a str, recipe: &'a str, flags: &[&'a str]) -> Vec<&'a str> {
    [verb, "--recipe", recipe].iter().chain(flags).copied().collect()
}

#[test]
fn recipes_that_make_no_sense_are_refused() {
    let mut refusals = Refusals::default();
    let folder = run_folder();
    let recipe = folder.arg("recipe.toml");
    let missing = folder.arg("missing.toml");
    refusals.expect("no recipe", rl("tapo", &missing, &[]), &[&missing]);
    for (why, set, named) in [
        ("an unknown key", "learning_rate=1.0", "learning_rate"),
        ("an unknown key of a table", "rollout.answers=1", "answers"),
        ("no assignment", "seed", "key=value"),
        ("a path through a number", "seed.x=1", "seed"),
        ("an unknown picture", "views.sketch.answers=1", "sketch"),
        ("an unknown estimator", "advantage=guess", "guess"),
        ("an unknown surrogate", "policy.surrogate=guess", "guess"),
        ("an unknown preset", "parity.preset=printed", "printed"),
        ("a temperature of nothing", "rollout.temperature=0.0", "rollout.temperature"),
        ("no answers", "rollout.max_new_tokens=0", "rollout.max_new_tokens"),
        ("a share above one", "rollout.top_p=1.5", "rollout.top_p"),
        ("one answer to compare", "views.anchor.answers=1", "views"),
        ("no views", "views.anchor.answers=0", "views"),
        ("a probability above one", "mask.probability=2.0", "mask.probability"),
        ("more noise than there is", "noise.step=1000", "noise.step"),
        ("a clip that takes everything", "policy.clip_low=1.0", "policy.clip_low"),
        ("no rows", "data.train_files=[]", "data.train_files"),
        ("a format without problem", "data.format_prompt=hello", "{content}"),
    ] {
        refusals.expect(why, rl("grpo", &recipe, &["--set", set]), &[named]);
    }
    let frozen =
        ["freeze_vision_tower=true", "freeze_multi_modal_projector=true", "freeze_language_model=true"];
    let flags: Vec<&str> = frozen.iter().flat_map(|set| ["--set", set]).collect();
    refusals.expect("everything frozen", rl("grpo", &recipe, &flags), &["freeze_language_model"]);
    refusals.expect("nothing to resume", rl("grpo", &recipe, &["--resume"]), &["resume", "run"]);
    let command = ["--set", "reward.command.argv=[\"no-such-judge\"]"];
    refusals.expect("a judge that is not there", rl("grpo", &recipe, &command), &["no-such-judge"]);
    refusals.check();
    assert!(!folder.at("run").exists(), "a refused recipe leaves no run behind");
}

#[test]
fn rows_that_cannot_be_learnt_from_are_refused() {
    let mut refusals = Refusals::default();
    let folder = run_folder();
    let (recipe, rows) = (folder.arg("recipe.toml"), folder.arg("rows.jsonl"));
    let with = |key: &str, value: Value| {
        let mut changed = row();
        changed[key] = value;
        format!("{}\n{changed}\n", row())
    };
    for (why, text, named) in [
        ("no JSON", format!("{}\nnonsense\n", row()), "rows.jsonl:2"),
        ("no answer", with("answer", Value::Null), "rows.jsonl:2"),
        ("a picture too few", with("images", json!([])), "<image>"),
        ("a picture that is missing", with("images", json!(["absent.png"])), "absent.png"),
        ("an empty answer", with("answer", json!(" ")), "`answer` is empty"),
        ("an answer that is none", with("answer", json!(["A dot"])), "`answer` is a list"),
        ("a problem that is no text", with("problem", json!(7)), "`problem` is a number"),
        ("a damaged data: URL", with("images", json!(["data:image/png;base64,!"])), "rows.jsonl:2"),
        ("videos", with("videos", json!(["a.mp4"])), "videos"),
        ("two positives", with("positive", json!(["tiny.png", "tiny.png"])), "2 positive pictures"),
        ("no rows", "\n".to_owned(), "no rows"),
    ] {
        folder.write("rows.jsonl", text);
        refusals.expect(why, rl("grpo", &recipe, &[]), &[named]);
    }
    folder.write("rows.jsonl", row().to_string());
    refusals.expect("triplets without positives", rl("tapo", &recipe, &[]), &[&rows, "positive", "triplets"]);
    let whole = json!({ "positive": ["tiny.png"], "negative": ["tiny.png"] });
    let triplet = |without: &str| {
        let mut row = row();
        for (key, value) in whole.as_object().expect("an object").iter().filter(|(key, _)| *key != without) {
            row[key] = value.clone();
        }
        row
    };
    folder.write(
        "rows.jsonl",
        [triplet(""), triplet("positive"), triplet("negative")].map(|row| row.to_string() + "\n").concat(),
    );
    refusals.expect(
        "a triplet without positive",
        rl("tapo", &recipe, &[]),
        &["1 of 3 rows", "positive", "rows.jsonl:2"],
    );
    let named = ["--set", "views.positive.answers=0", "--set", "data.negative_key=\"negative\""];
    refusals.expect(
        "a triplet without negative",
        rl("tapo", &recipe, &named),
        &["1 of 3 rows", "`negative`", "rows.jsonl:3"],
    );
    let set = format!("data.train_files=[{:?}]", folder.arg("triplets.jsonl"));
    refusals.expect(
        "triplets that are not made",
        rl("tapo", &recipe, &["--set", &set]),
        &["triplets.jsonl", "trainer-native triplets"],
    );
    let parquet = folder.write("rows.parquet", "PAR1");
    let set = format!("data.train_files=[{parquet:?}]");
    refusals.expect("a damaged parquet file", rl("grpo", &recipe, &["--set", &set]), &["rows.parquet"]);
    folder.write("rows.jsonl", row().to_string());
    let damaged = folder.write("tiny.png", b"PNG?");
    refusals.expect("a damaged picture", rl("grpo", &recipe, &[]), &[&damaged]);
    refusals.check();
}

#[test]
fn damaged_pictures_inside_a_row_are_not_printed() {
    let folder = run_folder();
    let recipe = folder.arg("recipe.toml");
    let encoded = BASE64_STANDARD.encode(folder.read("tiny.png"));
    let damaged = encoded.repeat(50) + "!";
    let address = format!("data:image/png;base64,{damaged}");
    for picture in
        [json!(damaged), json!(address), json!({ "bytes": damaged }), json!(damaged.replace("iVBOR", "x"))]
    {
        let mut row = row();
        row["images"] = json!([picture]);
        folder.write("rows.jsonl", row.to_string());
        let run = trainer(rl("grpo", &recipe, &[]));
        assert_eq!(run.code, Some(2), "{}", run.stderr);
        assert!(run.stderr.contains("rows.jsonl:1") && run.stderr.len() < 800, "{}", run.stderr);
    }
}

#[test]
fn easyr1s_forms_of_data_are_read() {
    let folder = run_folder();
    let recipe = folder.arg("recipe.toml");
    let rows = folder.at("rows");
    fs::create_dir(&rows).expect("a folder");
    let mut other = row();
    other["prompt"] = other["problem"].take();
    other.as_object_mut().expect("an object").remove("problem");
    fs::write(rows.join("a.jsonl"), format!("{}\n", row())).expect("rows");
    let encoded = BASE64_STANDARD.encode(folder.read("tiny.png"));
    let picture = |images: Value| json!({ "prompt": "<image>What?", "answer": 5, "images": images });
    let list = json!([
        other,
        { "prompt": "Why?", "answer": "so" },
        picture(json!([format!("data:image/png;base64,{encoded}")])),
        picture(json!([encoded])),
        picture(json!([{ "bytes": encoded, "path": "a.png" }])),
        picture(json!({ "bytes": null, "path": "tiny.png" })),
    ]);
    let list = folder.write("list.json", list.to_string());
    let files = format!("data.train_files=[{:?}, {list:?}]", folder.arg("rows"));
    let images = format!("data.image_dir={:?}", folder.dir());
    let output = format!("output_dir={}", folder.arg("run"));
    let run = trainer(rl("grpo", &recipe, &["--set", &files, "--set", &images, "--set", &output]));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("grpo: 7 questions"), "{}", run.stderr);
}
