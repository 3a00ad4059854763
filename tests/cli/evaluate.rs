//! `evaluate`: figures, prompts, baselines, comparisons, and the report.

use crate::program::{Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint};
use fine_r1_tests::{golden, workspace};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const CLASSES: [&str; 4] = ["A320", "A319", "ATR-72", "E-190"];
const PICTURES: [&str; 4] = ["tiny.png", "rgb.png", "grey.png", "palette.png"];

/// The golden pictures as one seen and one unseen set, the true name first in every row.
pub fn with_sets(count: usize) -> Scratch {
    let scratch = Scratch::new();
    for split in ["seen", "unseen"] {
        let rows = (0..count).map(|index| {
            let mut options = CLASSES.to_vec();
            options.swap(0, index % 4);
            let row = json!({
                "image_path": PICTURES[index % 4], "question": format!("Which aircraft of {split} {index}?"),
                "options": options, "ground_truth": CLASSES[index % 4],
            });
            row.to_string() + "\n"
        });
        scratch.write(&format!("aircraft_{split}.jsonl"), rows.collect::<String>());
    }
    scratch
}

pub fn arguments(scratch: &Scratch, model: &str, more: &[&str]) -> Vec<String> {
    let images = golden("images").to_str().expect("a UTF-8 path").to_owned();
    let mut typed: Vec<String> = [
        "evaluate",
        "--model",
        model,
        "--image-root",
        &images,
        "--max-new-tokens",
        "4",
        "--batch",
        "3",
        "--json",
    ]
    .map(str::to_owned)
    .to_vec();
    for split in ["seen", "unseen"] {
        typed.extend(["--data".to_owned(), scratch.arg(&format!("aircraft_{split}.jsonl"))]);
    }
    typed.extend(more.iter().map(|flag| (*flag).to_owned()));
    typed
}

pub fn evaluate(scratch: &Scratch, more: &[&str]) -> Run {
    trainer(arguments(scratch, &golden_checkpoint("qwen2_vl"), more))
}

fn contrastive(family: &str) -> String {
    golden("contrastive").join(family).to_str().expect("a UTF-8 path").to_owned()
}

/// The line of a key.
fn line<'summary>(summary: &'summary Value, key: &str) -> &'summary Value {
    let lines = summary["lines"].as_array().expect("lines");
    lines.iter().find(|line| line["key"] == key).unwrap_or_else(|| panic!("no line `{key}` in {summary}"))
}

fn value(summary: &Value, key: &str, set: usize) -> f64 {
    line(summary, key)["sets"][set]["value"]
        .as_f64()
        .unwrap_or_else(|| panic!("no figure of {key}: {summary}"))
}

/// The answers of a result file, by what was asked and row.
pub fn answers(scratch: &Scratch, folder: &str) -> BTreeMap<(String, u64), Value> {
    let text = String::from_utf8(scratch.read(&format!("{folder}/results.jsonl"))).expect("UTF-8");
    // A line without an end was never finished.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let lines = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let answers: Vec<Value> = lines.filter(|line| line["kind"] == "answer").collect();
    let count = answers.len();
    let keyed: BTreeMap<_, _> = answers
        .into_iter()
        .map(|line| {
            let settings = line["settings"].as_str().expect("an id").to_owned();
            ((settings, line["row"].as_u64().expect("a number")), line)
        })
        .collect();
    assert_eq!(keyed.len(), count, "no row is answered twice");
    keyed
}

#[test]
fn a_folder_holds_answers_summary_table_and_report() {
    let scratch = with_sets(5);
    let summary = evaluate(&scratch, &["--out", &scratch.arg("out")]).json();
    // Two sets, two tasks, each also with a blank image.
    assert_eq!((summary["asked"].as_u64(), summary["answered"].as_u64()), (Some(40), Some(40)));
    assert_eq!(answers(&scratch, "out").len(), 40);
    let stored: Value = serde_json::from_slice(&scratch.read("out/summary.json")).expect("JSON");
    assert_eq!(stored, summary);
    let table = String::from_utf8(scratch.read("out/table.md")).expect("UTF-8");
    for words in [
        "| closed world, options shuffled, exact |",
        "closed world, random option",
        "| seen | unseen | all |",
    ] {
        assert!(table.contains(words), "{words}: {table}");
    }
    let report = String::from_utf8(scratch.read("out/report.html")).expect("UTF-8");
    for words in
        ["data:image/jpeg;base64,", "Confusion matrix", "Worst confusions", "Places of options", "Wrong"]
    {
        assert!(report.contains(words), "{words}");
    }
    // What was asked is stored with what was answered.
    assert_eq!(
        summary["prompts"][0]["prompt"].as_str().map(|text| text.contains("Options: {options}.")),
        Some(true)
    );
    assert_eq!(summary["categories"]["aircraft_seen"], "aircraft");
    for key in
        ["closed.exact", "closed.substring", "closed.blank_image.exact", "open.exact", "open.inclusion"]
    {
        let found = line(&summary, key);
        for cell in [&found["sets"][0], &found["sets"][1], &found["seen"], &found["unseen"], &found["all"]] {
            let [low, value, high] =
                ["low", "value", "high"].map(|field| cell[field].as_f64().expect("a number"));
            assert!(low <= value && value <= high, "{key}: {cell}");
        }
    }
}

#[test]
fn always_first_is_right_in_released_order_alone() {
    let scratch = with_sets(40);
    let flags = ["--task", "closed", "--ablate", "none", "--released-order"];
    let run = |seed| evaluate(&scratch, &[flags.as_slice(), &["--seed", seed]].concat()).json();
    let first = run("1");
    for set in [0, 1] {
        assert_eq!(value(&first, "closed.released_order.always_first", set), 1.0);
        // Four standard deviations of a quarter of forty.
        for key in ["closed.always_first", "closed.random"] {
            assert!((value(&first, key, set) - 0.25).abs() < 0.28, "{key}: {first}");
        }
    }
    assert!(
        line(&first, "closed.released_order.exact")["title"]
            .as_str()
            .expect("a title")
            .contains("parity only")
    );
    assert_eq!(run("1"), first, "the same seed");
    let orders = |seed| {
        let out = scratch.arg(&format!("out{seed}"));
        evaluate(&scratch, &["--out", &out, "--seed", seed, "--task", "closed", "--ablate", "none"]);
        answers(&scratch, &format!("out{seed}"))
            .into_values()
            .map(|line| line["options"].clone())
            .collect::<Vec<_>>()
    };
    assert_ne!(orders("1"), orders("2"), "another seed");
}

#[test]
fn clip_and_siglip_answer_the_same_closed_world() {
    let scratch = with_sets(6);
    for family in ["clip", "siglip"] {
        let out = scratch.arg(family);
        let run = trainer(arguments(
            &scratch,
            &contrastive(family),
            &["--out", &out, "--ablate", "blank-image,shuffled-image"],
        ));
        let summary = run.json();
        assert_eq!(summary["prompt"], "a photo of a {}");
        assert_eq!(
            (summary["asked"].as_u64(), summary["answered"].as_u64()),
            (Some(36), Some(36)),
            "{family}"
        );
        for key in ["closed.exact", "closed.always_first", "closed.random", "closed.shuffled_image.exact"] {
            line(&summary, key);
        }
        for record in answers(&scratch, family).values() {
            let shares: Vec<f64> = serde_json::from_value(record["shares"].clone()).expect("shares");
            assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.len() == 4, "{record}");
            let options: Vec<String> = serde_json::from_value(record["options"].clone()).expect("options");
            let best = (0..4).max_by(|left, right| shares[*left].total_cmp(&shares[*right])).expect("four");
            assert_eq!(record["answer"], options[best].as_str());
        }
        let report = String::from_utf8(scratch.read(&format!("{family}/report.html"))).expect("UTF-8");
        assert!(report.contains("Calibration of candidates"));
    }
}

/// The figures of README's always-first row, from the released files' kin.
#[test]
fn airliners_are_two_splits_of_one_data_set() {
    let airliners = workspace().join("tests/data/airliners");
    let file =
        |split: &str| airliners.join(format!("test_{split}.jsonl")).to_str().expect("UTF-8").to_owned();
    let (seen, unseen) = (file("seen"), file("unseen"));
    let run = trainer([
        "evaluate",
        "--model",
        &contrastive("clip"),
        "--data",
        &seen,
        "--data",
        &unseen,
        "--ablate",
        "none",
        "--batch",
        "64",
        "--json",
    ]);
    let summary = run.json();
    assert_eq!(summary["sets"][0]["name"], "airliners_seen");
    assert_eq!(summary["sets"][1]["dataset"], "airliners");
    for (set, expected) in [(0, 0.257), (1, 0.255)] {
        assert!((value(&summary, "closed.always_first", set) - expected).abs() < 5e-4, "{summary}");
    }
    let all = line(&summary, "closed.exact");
    let [seen, unseen, both] =
        ["seen", "unseen", "all"].map(|field| all[field]["value"].as_f64().expect("a mean"));
    assert!((f64::midpoint(seen, unseen) - both).abs() < 1e-12);
}

#[test]
fn open_answers_are_measured_by_text_vectors() {
    let scratch = with_sets(4);
    let sentences = golden("sentence").to_str().expect("a UTF-8 path").to_owned();
    for (embedder, kind) in [
        (contrastive("siglip"), "SigLIP "),
        (contrastive("clip"), "CLIP "),
        (sentences, "sentence embedder "),
    ] {
        let flags = ["--embedder", &embedder, "--task", "open", "--ablate", "no-thinking"];
        let summary = evaluate(&scratch, &flags).json();
        assert!(summary["embedder"].as_str().is_some_and(|name| name.starts_with(kind)), "{summary}");
        for key in ["open.similarity", "open.no_thinking.similarity"] {
            let found = value(&summary, key, 0);
            assert!((0.0..=1.0).contains(&found), "{kind}, {key}: {found}");
        }
    }
    let word = |flags: &[&str]| evaluate(&scratch, flags).json()["categories"]["aircraft_seen"].clone();
    assert_eq!(word(&["--task", "open", "--ablate", "none", "--category", "aircraft=airplane"]), "airplane");
    assert_eq!(word(&["--task", "open", "--ablate", "none", "--released-category"]), "object");
}

#[test]
fn samples_vote_and_do_not_depend_on_the_batch() {
    let scratch = with_sets(5);
    let run = |out: &str, batch: &str| {
        let out = scratch.arg(out);
        let flags =
            ["--out", &out, "--batch", batch, "--samples", "3", "--task", "closed", "--ablate", "none"];
        // The last of two flags of a name would be refused: the batch is given once.
        let typed: Vec<String> = arguments(&scratch, &golden_checkpoint("qwen2_vl"), &flags);
        let first = typed.iter().position(|word| word == "--batch").expect("a batch");
        let typed: Vec<String> = typed[..first].iter().chain(&typed[first + 2..]).cloned().collect();
        trainer(typed).json()
    };
    let summary = run("one", "1");
    assert_eq!(run("four", "4"), summary);
    assert_eq!(answers(&scratch, "one"), answers(&scratch, "four"));
    assert_eq!(summary["samples"], 3);
    assert!(value(&summary, "closed.pass", 0) >= value(&summary, "closed.exact", 0));
    line(&summary, "closed.majority");
    for record in answers(&scratch, "one").values() {
        assert_eq!(record["samples"].as_array().map(Vec::len), Some(3));
    }
}

#[test]
fn options_are_scored_behind_the_models_own_thought() {
    let scratch = with_sets(3);
    let flags = [
        "--out",
        &scratch.arg("out"),
        "--answer-only",
        "--score-options",
        "--task",
        "closed",
        "--ablate",
        "none",
    ];
    evaluate(&scratch, &flags).json();
    for record in answers(&scratch, "out").values() {
        let shares: Vec<f64> = serde_json::from_value(record["shares"].clone()).expect("shares");
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && shares.len() == 4, "{record}");
        assert!(shares.iter().any(|share| (share - 0.25).abs() > 1e-3), "{record}");
    }
    let report = String::from_utf8(scratch.read("out/report.html")).expect("UTF-8");
    assert!(report.contains("Calibration of candidates"));
}

#[test]
fn prompts_are_released_ones_or_ones_own() {
    let scratch = with_sets(2);
    let text = |prompt: &str| {
        let flags = ["--prompt", prompt, "--task", "closed,open", "--ablate", "none"];
        let summary = evaluate(&scratch, &flags).json();
        [0, 1].map(|task| summary["prompts"][task]["prompt"].as_str().expect("a text").to_owned())
    };
    let [closed, open] = text("released");
    assert!(
        closed.contains("based on the options provided in {options}, output the thinking process"),
        "{closed}"
    );
    assert!(open.contains("This is a fine-grained question"), "{open}");
    assert!(text("released-answer-only").iter().all(|prompt| !prompt.contains("<think>")));
    let own = scratch.write("own.toml", "closed = '{question} Of {options}?'\nopen = 'Say: {question}'\n");
    assert_eq!(text(&own), ["{question} Of {options}?", "Say: {question}"]);
}

#[test]
fn two_folders_are_compared_image_by_image() {
    let scratch = with_sets(6);
    for family in ["clip", "siglip"] {
        let out = scratch.arg(family);
        trainer(arguments(&scratch, &contrastive(family), &["--out", &out, "--ablate", "none"])).json();
    }
    let (clip, siglip) = (scratch.arg("clip"), scratch.arg("siglip"));
    let found = trainer(["evaluate", "--compare", &clip, &siglip, "--json"]).json();
    let sets = found.as_array().expect("a list");
    assert_eq!(sets.len(), 2);
    for set in sets {
        assert_eq!((set["images"].as_u64(), set["asked_alike"].as_bool()), (Some(6), Some(true)));
        let number = |value: &Value| value.as_f64().expect("a number");
        let difference = number(&set["right"][1]) - number(&set["right"][0]);
        assert!((number(&set["difference"]["value"]) - difference).abs() < 1e-12, "{set}");
        let only = number(&set["only"][1]) - number(&set["only"][0]);
        assert!((only / 6.0 - difference).abs() < 1e-12, "{set}");
    }
    let same = trainer(["evaluate", "--compare", &clip, &clip]);
    assert!(same.stdout.contains("| +0.0 [+0.0, +0.0] | 0 | 0 | 1.0000 |"), "{}", same.stdout);
}

#[test]
fn published_tables_stand_beside_on_request() {
    let scratch = with_sets(2);
    let mut typed = arguments(&scratch, &contrastive("clip"), &["--published", "--ablate", "none"]);
    typed.retain(|flag| flag != "--json");
    let run = trainer(typed);
    assert!(run.stdout.contains("arxiv.org/abs/2602.07605"), "{}", run.stdout);
    assert!(run.stdout.contains("| SigLIP-L | 67.08 |"), "{}", run.stdout);
}

/// `--probe` and the answer-only prompt, as README's tables are made.
#[test]
fn the_probe_chooses_among_the_classes_of_training() {
    let scratch = with_sets(8);
    let train = scratch.arg("aircraft_seen.jsonl");
    let copy = scratch.write("train.jsonl", fs::read(train).expect("rows"));
    let flags = ["--answer-only", "--probe", &copy, "--task", "open", "--ablate", "none"];
    let summary = evaluate(&scratch, &flags).json();
    // It is measured on what it was fitted on: four pictures, each of a class of its own.
    assert_eq!(value(&summary, "open.probe", 0), 1.0);
    assert_eq!(summary["prompts"][0]["prompt"], "{question}");
}
