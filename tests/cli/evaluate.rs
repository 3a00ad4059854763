//! `evaluate`: figures, prompts, baselines, comparisons, and the report.

use crate::program::{Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::{TensorFile, golden, read_json, workspace};
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
    choosing(scratch, model, &[&["--max-new-tokens", "4"], more].concat())
}

/// The same for models that write nothing.
fn choosing(scratch: &Scratch, model: &str, more: &[&str]) -> Vec<String> {
    let images = golden("images").to_str().expect("a UTF-8 path").to_owned();
    with_photos(scratch, model, &images, more)
}

/// The same with photos of another folder.
pub fn with_photos(scratch: &Scratch, model: &str, images: &str, more: &[&str]) -> Vec<String> {
    let mut typed: Vec<String> =
        ["evaluate", "--model", model, "--image-root", images, "--batch", "3", "--json"]
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

/// The answers to a variant of the tasks, in the order of the result file.
fn of_variant(scratch: &Scratch, folder: &str, variant: &str) -> Vec<Value> {
    let text = String::from_utf8(scratch.read(&format!("{folder}/results.jsonl"))).expect("UTF-8");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let asked = lines.iter().filter(|line| line["settings"]["variant"] == variant);
    let ids: Vec<&Value> = asked.map(|line| &line["id"]).collect();
    lines.iter().filter(|line| ids.contains(&&line["settings"])).cloned().collect()
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
    assert!(report.contains("--score-options"), "how calibration is had");
    assert!(table.contains("Seed 0; one answer to every question, the likeliest tokens"), "{table}");
    assert!(table.contains("at most 4 tokens; super-category words: aircraft_seen: aircraft"), "{table}");
    let decoding = ["max_new_tokens", "top_p", "repetition_penalty"].map(|field| summary[field].as_f64());
    assert_eq!(decoding, [Some(4.0), Some(1.0), Some(1.0)]);
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
        let run = trainer(choosing(
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

/// Answers, words and true names are among the texts whose vectors transformers computed.
#[test]
fn similarity_is_the_formula_on_transformers_vectors() {
    let scratch = Scratch::new();
    let truth = "Boeing 737-800";
    let answers = [truth, "Honda Accord Coupe 2012", "a photo of a Black-footed  Albatross!", "object"];
    let rows = answers.map(|_| {
        json!({ "image_path": "tiny.png", "question": "Which?", "ground_truth": truth }).to_string() + "\n"
    });
    let data = scratch.write("mine.jsonl", rows.concat());
    let (out, images) = (scratch.arg("out"), golden("images"));
    let (model, images) = (golden_checkpoint("qwen2_vl"), images.to_str().expect("a UTF-8 path"));
    let typed = ["evaluate", "--model", &model, "--data", &data, "--image-root", images, "--out", &out];
    let typed =
        typed.iter().chain(&["--task", "open", "--ablate", "none", "--max-new-tokens", "2", "--json"]);
    let first = trainer(typed.clone());
    assert!(first.stderr.contains("`mine` is not known here"), "{}", first.stderr);
    // Other answers are laid under its hand.
    let lines = String::from_utf8(scratch.read("out/results.jsonl")).expect("UTF-8");
    let changed = lines.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).expect("JSON");
        if let Some(row) = line["row"].as_u64() {
            line["samples"][0]["text"] = format!("<answer>{}</answer>", answers[row as usize]).into();
        }
        line.to_string() + "\n"
    });
    scratch.write("out/results.jsonl", changed.collect::<String>());

    let texts: Value = read_json("contrastive/cases.json");
    let tensors = TensorFile::read("contrastive/cases.safetensors");
    for family in ["siglip", "clip"] {
        let vectors = tensors.floats(&format!("{family}.text_embeds"));
        let width = vectors.shape[1];
        let vector = |text: &str| {
            let place = texts["texts"].as_array().expect("a list").iter().position(|known| known == text);
            &vectors.values[place.expect("a text of transformers") * width..][..width]
        };
        let cosine = |left: &str, right: &str| -> f64 {
            vector(left).iter().zip(vector(right)).map(|(left, right)| f64::from(left * right)).sum()
        };
        let word = cosine("object", truth);
        let near = answers.map(|answer| ((cosine(answer, truth) - word) / (1.0 - word)).max(0.0));
        // The name itself comes all the way, the word not a step.
        assert!((near[0] - 1.0).abs() < 1e-5 && near[3].abs() < 1e-5, "{near:?}");
        let expected = near.iter().sum::<f64>() / near.len() as f64;
        let embedder = contrastive(family);
        let found = trainer(typed.clone().chain(&["--embedder", &embedder])).json();
        let similarity = value(&found, "open.similarity", 0);
        // What the issue allows between our vectors and transformers'.
        assert!((similarity - expected).abs() < 1e-4, "{family}: {similarity}, expected {expected}");
        assert_eq!(value(&found, "open.inclusion", 0), 0.25);
    }
}

#[test]
fn the_checkpoints_own_repetition_penalty_is_heeded() {
    let scratch = with_sets(2);
    // Its generation_config.json has 1.05.
    let model = golden_checkpoint("qwen2_5_vl-untied");
    let texts = |name: &str, flags: &[&str]| -> Vec<Value> {
        let out = scratch.arg(name);
        let fixed = ["--out", &out, "--task", "open", "--ablate", "none", "--max-new-tokens", "12"];
        let run = trainer(choosing(&scratch, &model, &[fixed.as_slice(), flags].concat()));
        let penalty = flags.get(1).map_or(1.05, |typed| typed.parse().expect("a number"));
        assert_eq!(run.json()["repetition_penalty"].as_f64(), Some(penalty));
        assert_eq!(run.stderr.contains("note: repetition penalty 1.05"), flags.is_empty());
        let found = of_variant(&scratch, name, "plain");
        found.into_iter().map(|line| line["samples"][0]["text"].clone()).collect()
    };
    let recognized = |flags: &[&str]| -> Vec<Value> {
        let ask = |split: &str, index: usize| {
            let (photo, question) =
                (golden_image(PICTURES[index]), format!("Which aircraft of {split} {index}?"));
            let fixed = ["recognize", &photo, "--model", &model, "--question", &question];
            let more = ["--temperature", "0", "--max-new-tokens", "12", "--json"];
            trainer(fixed.iter().chain(&more).chain(flags)).json()["text"].clone()
        };
        ["seen", "unseen"].iter().flat_map(|split| [ask(split, 0), ask(split, 1)]).collect()
    };
    let mut all = Vec::new();
    for (name, flags) in [
        ("own", [].as_slice()),
        ("none", &["--repetition-penalty", "1"]),
        ("high", &["--repetition-penalty", "5"]),
    ] {
        let found = texts(name, flags);
        assert_eq!(found, recognized(flags), "{name}");
        all.push(found);
    }
    assert_ne!(all[1], all[2], "a penalty that changes nothing shows nothing");
}

#[test]
fn answers_that_ran_into_the_limit_are_counted() {
    let scratch = with_sets(6);
    let run = |out: &str, tokens: &str| {
        let flags =
            ["--out", &scratch.arg(out), "--task", "open", "--ablate", "none", "--max-new-tokens", tokens];
        trainer(choosing(&scratch, &golden_checkpoint("qwen2_vl"), &flags)).json()
    };
    for (out, tokens) in [("few", "1"), ("many", "60")] {
        let summary = run(out, tokens);
        for (place, set) in ["aircraft_seen", "aircraft_unseen"].iter().enumerate() {
            let of_set = answers(&scratch, out).into_values().filter(|line| line["set"] == *set);
            let cut = of_set.filter(|line| line["samples"][0]["stop"] == "length").count();
            assert_eq!(value(&summary, "cut_off", place), cut as f64 / 6.0, "{summary}");
        }
    }
    assert_eq!(value(&run("few", "1"), "cut_off", 0), 1.0);
}

#[test]
fn without_thinking_the_answer_only_prompt_is_sent() {
    let scratch = with_sets(4);
    let texts = |out: &str, flags: &[&str]| {
        let fixed = ["--out", &scratch.arg(out), "--task", "closed"];
        evaluate(&scratch, &[fixed.as_slice(), flags].concat()).json();
        ["plain", "no_thinking"].map(|variant| -> Vec<Value> {
            let found = of_variant(&scratch, out, variant);
            found.into_iter().map(|line| line["samples"].clone()).collect()
        })
    };
    let [plain, brief] = texts("both", &["--ablate", "no-thinking"]);
    let [answer_only, nothing] = texts("brief", &["--answer-only", "--ablate", "none"]);
    assert_eq!((brief.len(), nothing.len()), (8, 0));
    assert_eq!(brief, answer_only);
    assert_ne!(brief, plain);
}

/// What is measured as a blank image is what a grey photo of the same size gives.
#[test]
fn a_blank_image_is_really_grey() {
    let scratch = with_sets(4);
    for name in PICTURES {
        let photo = image::open(golden("images").join(name)).expect("a picture");
        image::RgbImage::from_pixel(photo.width(), photo.height(), image::Rgb([127; 3]))
            .save(scratch.at(name))
            .expect("room");
    }
    let images = golden("images").to_str().expect("a UTF-8 path").to_owned();
    let shares = |out: &str, images: &str, ablation: &str| -> [Vec<Value>; 2] {
        let flags = ["--out", &scratch.arg(out), "--ablate", ablation];
        trainer(with_photos(&scratch, &contrastive("siglip"), images, &flags)).json();
        ["plain", "blank_image"].map(|variant| {
            let found = of_variant(&scratch, out, variant);
            found.into_iter().map(|line| line["shares"].clone()).collect()
        })
    };
    let [seen, blank] = shares("photos", &images, "blank-image");
    let [grey, _] = shares("grey", &scratch.dir(), "none");
    assert_eq!((blank.len(), &blank), (8, &grey));
    assert_ne!(blank, seen);
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
        trainer(choosing(&scratch, &contrastive(family), &["--out", &out, "--ablate", "none"])).json();
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
    // The result file of a folder stands for it.
    let file = scratch.arg("clip/results.jsonl");
    assert_eq!(trainer(["evaluate", "--compare", &file, &siglip, "--json"]).json(), found);
}

#[test]
fn who_was_asked_otherwise_is_marked() {
    let scratch = with_sets(4);
    let run = |name: &str, flags: &[&str]| {
        let out = scratch.arg(name);
        evaluate(
            &scratch,
            &[["--out", &out, "--task", "open", "--ablate", "none"].as_slice(), flags].concat(),
        )
        .json();
        out
    };
    let plain = run("plain", &[]);
    for (name, flags, is_alike) in [
        ("same", [].as_slice(), true),
        ("samples", &["--samples", "2"], false),
        ("penalty", &["--repetition-penalty", "1.5"], false),
    ] {
        let other = run(name, flags);
        let found = trainer(["evaluate", "--compare", &plain, &other, "--json"]).json();
        assert_eq!(found[0]["asked_alike"], is_alike, "{name}: {found}");
    }
}

#[test]
fn published_tables_stand_beside_on_request() {
    let scratch = with_sets(2);
    let mut typed = choosing(&scratch, &contrastive("clip"), &["--published", "--ablate", "none"]);
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
