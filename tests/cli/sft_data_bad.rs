//! `sft`: data that cannot be trained on is found before training, by file and line.

use crate::program::{Refusals, trainer};
use crate::scratch::Scratch;
use crate::sft_data::{check_arguments, data_folder, describe};
use serde_json::{Value, json};
use std::fs;

fn good(question: &str) -> Value {
    json!({ "instruction": question, "output": "Yes." })
}

fn folder_with(rows: &Value) -> Scratch {
    let folder = data_folder();
    describe(&folder, &json!({ "file_name": "rows.json" }));
    folder.write("rows.json", serde_json::to_string_pretty(rows).expect("JSON"));
    folder
}

fn train_arguments(folder: &Scratch, settings: &[&str]) -> Vec<String> {
    let mut arguments = vec!["sft".to_owned(), "--recipe".to_owned(), folder.arg("recipe.toml")];
    for setting in settings {
        arguments.extend(["--set".to_owned(), (*setting).to_owned()]);
    }
    arguments
}

#[test]
fn a_check_reports_every_bad_row_with_file_and_line() {
    let with_image = |image: &str| json!({ "instruction": "<image>What?", "output": "x", "images": [image] });
    let folder = folder_with(&json!([
        good("One?"),
        { "instruction": "Two?" },
        with_image("broken.png"),
        with_image("cut.png"),
        with_image("absent.png"),
        good("Spelled <|image_pad|>?"),
        good("Last?"),
    ]));
    folder.write("broken.png", "no picture");
    // The header is whole, the pixels are not.
    let whole = folder.read("rgb.png");
    folder.write("cut.png", &whole[..whole.len() / 2]);

    let run = trainer(check_arguments(&folder, &["--json"]));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report in spite of all");
    assert_eq!((&report["rows"], &report["bad_rows"]), (&json!(7), &json!(5)));
    assert!(report["training"].is_null());
    let text = String::from_utf8(folder.read("rows.json")).expect("UTF-8");
    let line_of = |words: &str| 1 + text.lines().position(|line| line.contains(words)).expect("a line");
    // Rows begin one line before their first field.
    let expected = [
        ("Two?", 2, "no assistant message"),
        ("broken.png", 3, "broken.png"),
        ("cut.png", 4, "cut.png"),
        ("absent.png", 5, "absent.png is missing"),
        ("Spelled", 6, "image placeholders"),
    ];
    for (problem, (words, row, named)) in report["problems"].as_array().expect("a list").iter().zip(expected)
    {
        let found = problem["problem"].as_str().expect("a text");
        let fields = if words.ends_with(".png") { 4 } else { 1 };
        let place = format!("rows.json:{} (row {row})", line_of(words) - fields);
        assert!(found.contains(&place) && found.contains(named), "{place} {named}: {found}");
        assert!(!problem["hint"].as_str().expect("a text").is_empty(), "{found}");
        assert!(run.stderr.contains(found), "{found}");
    }
    assert!(run.stderr.contains("5 of 7 rows cannot be trained on"), "{}", run.stderr);
    assert!(!folder.at("run").exists());

    let run = trainer(check_arguments(&folder, &[]));
    assert_eq!(run.code, Some(2));
    assert!(run.stdout.contains("rows        7, 5 bad"), "{}", run.stdout);
}

#[test]
fn a_check_hears_of_every_set_though_one_cannot_be_read() {
    let folder = data_folder();
    folder.write(
        "dataset_info.json",
        json!({ "cut": { "file_name": "cut.json" }, "rows": { "file_name": "rows.json" } }).to_string(),
    );
    folder.write("cut.json", "[{ \"instruction\": \"One?\", ");
    folder.write("rows.json", json!([good("One?"), { "instruction": "Two?" }]).to_string());
    let run = trainer(check_arguments(&folder, &["--json", "--set", "dataset=cut,absent,rows"]));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let report: Value = serde_json::from_str(&run.stdout).expect("a report in spite of all");
    let sets = report["data_sets"].as_array().expect("a list");
    assert_eq!(sets.iter().map(|set| &set["readable"]).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!((&report["rows"], &report["bad_rows"]), (&json!(2), &json!(1)));
    for named in ["cut.json", "no data set `absent`", "no assistant message"] {
        assert!(run.stderr.contains(named), "{named}: {}", run.stderr);
    }
    let run = trainer(train_arguments(&folder, &["dataset=rows,cut"]));
    assert_eq!((run.code, folder.at("run").exists()), (Some(2), false), "{}", run.stderr);
    assert!(run.stderr.contains("cut.json"), "{}", run.stderr);
}

#[test]
fn files_and_descriptions_that_are_none_are_refused() {
    let mut refusals = Refusals::default();
    let folder = folder_with(&json!([good("One?")]));
    let describe_as = |entry: Value| describe(&folder, &entry);
    let mut expect = |why: &str, named: &[&str]| {
        refusals.expect(why, train_arguments(&folder, &[]), named);
    };
    describe_as(json!({ "hf_hub_url": "somebody/rows" }));
    expect("a set elsewhere", &["dataset_info.json", "`rows`", "file_name"]);
    describe_as(json!({ "file_name": "rows.json", "ranking": true }));
    expect("preferences", &["dataset_info.json", "`rows`", "preference"]);
    describe_as(json!({ "file_name": 7 }));
    expect("a file name that is a number", &["dataset_info.json", "`rows`"]);
    describe_as(json!({ "file_name": "rows.csv" }));
    folder.write("rows.csv", "a,b");
    expect("another kind of file", &["rows.csv", ".parquet"]);
    describe_as(json!({ "file_name": "rows.parquet" }));
    folder.write("rows.parquet", "PAR1 no");
    expect("a damaged file", &["rows.parquet"]);
    describe_as(json!({ "file_name": "absent.parquet" }));
    expect("an absent file", &["absent.parquet"]);
    describe_as(json!({ "file_name": "rows.jsonl" }));
    folder.write("rows.jsonl", "{\"instruction\": \"x\", \"output\": \"y\"}\n{\"instruction\n");
    expect("a damaged line", &["rows.jsonl:2"]);
    folder.write("rows.json", "[\n{\"instruction\": \"x\", \"output\": \"y\"}\n{}]");
    describe_as(json!({ "file_name": "rows.json" }));
    expect("a missing comma", &["rows.json:3"]);
    fs::create_dir(folder.at("empty")).expect("a folder");
    describe_as(json!({ "file_name": "empty" }));
    expect("an empty folder", &["rows"]);
    let turns = json!([
        { "from": "human", "value": "a" }, { "from": "human", "value": "b" }, { "from": "gpt", "value": "c" },
    ]);
    folder.write("rows.json", json!([{ "conversations": turns }]).to_string());
    describe_as(json!({ "file_name": "rows.json", "formatting": "sharegpt" }));
    expect("nobody answers", &["rows.json:1", "message 2"]);
    refusals.check();
    assert!(!folder.at("run").exists());
}

#[test]
fn rows_that_are_too_long_are_refused_where_that_is_wished() {
    let folder = folder_with(&json!([good("One?"), good(&"long ".repeat(200))]));
    let mut refusals = Refusals::default();
    let named: [&str; 4] = ["1 of 2 samples", "cutoff_len (128)", "rows.json:", "(row 2)"];
    let settings = ["cutoff_len=128", "overlong=refuse"];
    refusals.expect("refused by wish", train_arguments(&folder, &settings), &named);
    let settings = ["cutoff_len=3"];
    refusals.expect(
        "none is left",
        train_arguments(&folder, &settings),
        &["2 of 2 samples", "cutoff_len (3)"],
    );
    refusals.expect(
        "all are put aside",
        train_arguments(&folder, &["val_size=9"]),
        &["no row is left to train on", "val_size"],
    );
    refusals.check();
    assert!(!folder.at("run").exists());
    let run = trainer(train_arguments(&folder, &["cutoff_len=128"]));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("1 samples were longer than cutoff_len (128)"), "{}", run.stderr);
}

#[test]
fn keys_that_exclude_each_other_are_refused() {
    let folder = folder_with(&json!([good("One?")]));
    let mut refusals = Refusals::default();
    for (why, settings, named) in [
        ("both label rules", ["mask_history=true", "train_on_prompt=true"], "train_on_prompt"),
        ("two validations", ["val_size=0.1", "eval_dataset=rows"], "eval_dataset"),
        ("weights without draws", ["interleave_probs=0.5", "mix_strategy=concat"], "mix_strategy"),
        ("too many weights", ["interleave_probs=1,2", "mix_strategy=interleave_over"], "interleave_probs"),
        (
            "a weight of nothing",
            ["interleave_probs=[0.0]", "mix_strategy=interleave_over"],
            "interleave_probs",
        ),
        ("a weight that is none", ["interleave_probs=x", "mix_strategy=interleave_over"], "interleave_probs"),
        ("an unknown mixture", ["mix_strategy=stir", "seed=1"], "stir"),
        ("a share above all", ["val_size=1.5", "seed=1"], "val_size"),
        ("an unknown policy", ["overlong=cut", "seed=1"], "cut"),
    ] {
        refusals.expect(why, train_arguments(&folder, &settings), &[named]);
    }
    refusals.expect_usage("a check that resumes", check_arguments(&folder, &["--resume"]), &["--resume"]);
    let show = [train_arguments(&folder, &[]), vec!["--show".to_owned(), "1".to_owned()]].concat();
    refusals.expect_usage("nothing to show", show, &["--check-data"]);
    refusals.check();
}
