//! `recognize`: answers, their choice of tokens, and their form.

use crate::program::{Run, trainer, trainer_unread};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::{CASES, CHECKPOINTS, ModelCase};
use serde_json::{Value, json};

const FIELDS: [&str; 13] = [
    "image",
    "thinking",
    "answer",
    "well_formed",
    "text",
    "token_ids",
    "prompt_tokens",
    "new_tokens",
    "stop_reason",
    "prefill_secs",
    "tokens_per_sec",
    "model",
    "device",
];

/// Answers `messages.json` in a folder with 48 tokens.
fn answer(model: &str, conversation: &Scratch, flags: &[&str]) -> Run {
    let messages = conversation.arg("messages.json");
    let fixed = ["recognize", "--model", model, "--messages", &messages, "--max-new-tokens", "48", "--json"];
    trainer(fixed.iter().chain(flags))
}

fn token_ids(run: &Run) -> Vec<u32> {
    serde_json::from_value(run.json()["token_ids"].clone()).expect("ids")
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    for checkpoint in CHECKPOINTS {
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let conversation = Scratch::conversation(&expected);
            let model = golden_checkpoint(checkpoint);
            let run = answer(&model, &conversation, &["--temperature", "0", "--repetition-penalty", "1"]);
            let record = run.json();
            assert_eq!(token_ids(&run), expected.greedy_ids, "{checkpoint} {case}");
            assert_eq!(record["text"], expected.greedy_text.as_str(), "{checkpoint} {case}");
            assert_eq!(record["prompt_tokens"], expected.input_ids.len(), "{checkpoint} {case}");
            assert_eq!(record["new_tokens"], expected.greedy_ids.len(), "{checkpoint} {case}");
            assert_eq!(record["stop_reason"], "length", "{checkpoint} {case}");
            assert_eq!(record["model"], model.as_str(), "{checkpoint} {case}");
        }
        let (expected, _) = ModelCase::read(checkpoint, "one-image");
        let conversation = Scratch::conversation(&expected);
        let penalty = expected.repetition_penalty.expect("a penalty").to_string();
        let flags = ["--temperature", "0", "--repetition-penalty", &penalty];
        let run = answer(&golden_checkpoint(checkpoint), &conversation, &flags);
        assert_eq!(Some(token_ids(&run)), expected.penalised_greedy_ids, "{checkpoint}: penalised");
    }
}

#[test]
fn conversations_are_answered_in_the_order_given() {
    let model = golden_checkpoint("qwen2_vl");
    let scratch = Scratch::new();
    let files = ["Who are you?", "Why is the sky blue?"].map(|text| {
        scratch
            .write(&format!("{}.json", text.len()), format!(r#"[{{"role": "user", "content": "{text}"}}]"#))
    });
    let flags = ["--model", &model, "--temperature", "0", "--max-new-tokens", "8", "--json"];
    let answer = |files: &[&String]| {
        let files = files.iter().flat_map(|file| ["--messages", file.as_str()]);
        let text = trainer(["recognize"].into_iter().chain(files).chain(flags)).stdout;
        let records = text.lines().map(|line| serde_json::from_str(line).expect("a record"));
        records.map(|record: Value| record["token_ids"].clone()).collect::<Vec<_>>()
    };
    let [first, second] = &files;
    assert_eq!(answer(&[first, second]), [answer(&[first]), answer(&[second])].concat());
}

#[test]
fn a_record_has_the_fields_that_machines_rely_on() {
    let (model, image) = (golden_checkpoint("qwen2_vl"), golden_image("rgb.png"));
    let run = trainer(["recognize", &image, "--model", &model, "--max-new-tokens", "3", "--json"]);
    let record = run.json();
    let fields: Vec<&String> = record.as_object().expect("an object").keys().collect();
    assert_eq!(fields, FIELDS);
    assert_eq!(record["image"], image.as_str());
    for text in ["thinking", "answer", "text", "device"] {
        assert!(record[text].is_string(), "{text}: {record}");
    }
    assert!(record["well_formed"].is_boolean(), "{record}");
    assert_eq!(record["new_tokens"], 3);
    for seconds in ["prefill_secs", "tokens_per_sec"] {
        assert!(record[seconds].as_f64().is_some_and(|value| value > 0.0), "{seconds}: {record}");
    }
}

#[test]
fn several_photos_give_a_record_each_in_their_order() {
    let model = golden_checkpoint("qwen2_vl");
    let photos = ["rgb.png", "tiny.png", "wide.png"].map(golden_image);
    let fixed = ["recognize", "--model", &model, "--max-new-tokens", "4", "--json"].map(str::to_owned);
    let run = trainer(fixed.iter().chain(&photos));
    let named: Vec<Value> = run.json_lines().into_iter().map(|mut record| record["image"].take()).collect();
    assert_eq!(named, photos.clone().map(Value::from));
    // Each as if it came alone.
    for (photo, together) in photos.iter().zip(run.json_lines()) {
        let alone = trainer(fixed.iter().chain([photo])).json();
        assert_eq!(alone["token_ids"], together["token_ids"], "{photo}");
    }
}

#[test]
fn people_get_the_answer_on_the_last_line() {
    let (model, image) = (golden_checkpoint("qwen2_vl"), golden_image("rgb.png"));
    let fixed = ["recognize", &image, "--model", &model, "--max-new-tokens", "24", "--temperature", "0"];
    let record = trainer(fixed.iter().chain(&["--json"])).json();
    let run = trainer(fixed);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let answer = record["answer"].as_str().expect("a text");
    assert!(
        run.stdout.ends_with(&format!("\nanswer: {answer}\n")) || run.stdout == format!("answer: {answer}\n"),
        "{:?}",
        run.stdout
    );
}

#[test]
fn a_seed_makes_sampling_repeatable() {
    let (case, _) = ModelCase::read("qwen2_5_vl-untied", "one-image");
    let (model, conversation) = (golden_checkpoint("qwen2_5_vl-untied"), Scratch::conversation(&case));
    let sampled =
        |seed: &str| token_ids(&answer(&model, &conversation, &["--temperature", "1", "--seed", seed]));
    let first = sampled("7");
    assert_eq!(first, sampled("7"), "the same seed");
    assert_ne!(first, sampled("8"), "another seed");
    assert_ne!(first, case.greedy_ids, "not greedy");
    // The smallest nucleus is the likeliest token.
    let narrow = ["--temperature", "1", "--top-p", "0.000001", "--repetition-penalty", "1", "--seed", "8"];
    assert_eq!(
        token_ids(&answer(&model, &conversation, &narrow)),
        case.greedy_ids,
        "one token in the nucleus"
    );
}

/// Without flags the checkpoint decides.
#[test]
fn the_checkpoints_generation_config_gives_the_defaults() {
    // top_k 1, and no sampling: both take the likeliest token.
    for checkpoint in ["qwen2_vl", "qwen2_5_vl-tied-bf16"] {
        let (case, _) = ModelCase::read(checkpoint, "one-image");
        let run = answer(&golden_checkpoint(checkpoint), &Scratch::conversation(&case), &[]);
        assert_eq!(token_ids(&run), case.greedy_ids, "{checkpoint}");
    }

    let (case, _) = ModelCase::read("qwen2_5_vl-untied", "one-image");
    let conversation = Scratch::conversation(&case);
    let model = golden_checkpoint("qwen2_5_vl-untied");
    let run = answer(&model, &conversation, &[]);
    let spelled_out = answer(&model, &conversation, &["--temperature", "0", "--repetition-penalty", "1.05"]);
    assert_eq!(token_ids(&run), token_ids(&spelled_out), "a temperature of 1e-6 and a penalty of 1.05");

    let copy = Scratch::checkpoint("qwen2_5_vl-untied");
    let penalty = case.repetition_penalty.expect("a penalty");
    copy.write(
        "generation_config.json",
        json!({ "repetition_penalty": penalty, "eos_token_id": 412 }).to_string(),
    );
    let run = answer(&copy.dir(), &conversation, &[]);
    assert_eq!(Some(token_ids(&run)), case.penalised_greedy_ids, "the file's penalty");
    let run = answer(&copy.dir(), &conversation, &["--repetition-penalty", "1"]);
    assert_eq!(token_ids(&run), case.greedy_ids, "a flag wins over the file");
    let (end, end_place) = (case.greedy_ids[12], 12);
    copy.write("generation_config.json", json!({ "eos_token_id": [end] }).to_string());
    let run = answer(&copy.dir(), &conversation, &[]);
    assert_eq!(token_ids(&run), case.greedy_ids[..=end_place], "the file's end token");
    assert_eq!(run.json()["stop_reason"], "end_token");
    copy.remove("generation_config.json");
    let run = answer(&copy.dir(), &conversation, &[]);
    assert_eq!(token_ids(&run), case.greedy_ids, "without the file the likeliest token");
}

#[test]
fn the_program_brings_a_model_along() {
    let run = trainer(["recognize", &golden_image("rgb.png"), "--max-new-tokens", "2", "--json"]);
    assert_eq!(run.json()["model"], "nano");
}

#[test]
fn candidates_and_question_stand_in_the_prompt() {
    let (model, image) = (golden_checkpoint("qwen2_vl"), golden_image("tiny.png"));
    let fixed = ["recognize", &image, "--model", &model, "--max-new-tokens", "1", "--json"];
    let tokens = |flags: &[&str]| {
        trainer(fixed.iter().chain(flags)).json()["prompt_tokens"].as_u64().expect("a count")
    };
    let plain = tokens(&[]);
    assert!(tokens(&["--candidates", "A320, A321"]) > plain);
    assert!(tokens(&["--question", "Which of the many aircraft of this world is it?"]) > plain);
}

/// Whoever pipes the output into `head` is no error.
#[test]
fn a_closed_stdout_is_no_failure() {
    let (model, image) = (golden_checkpoint("qwen2_vl"), golden_image("tiny.png"));
    let (case, _) = ModelCase::read("qwen2_vl", "text-only");
    let conversation = Scratch::conversation(&case);
    let messages = conversation.arg("messages.json");
    let runs = [
        trainer_unread(["recognize", &image, "--model", &model, "--max-new-tokens", "2", "--json"]),
        trainer_unread(["recognize", &image, "--model", &model, "--max-new-tokens", "2"]),
        trainer_unread(["recognize", &image, &image, "--model", &model, "--max-new-tokens", "2"]),
        trainer_unread([
            "score",
            "--model",
            &model,
            "--messages",
            &messages,
            "--continuation",
            "x",
            "--json",
        ]),
        trainer_unread(["score", "--model", &model, "--messages", &messages, "--continuation", "x"]),
        trainer_unread(["inspect", &model, "--json"]),
        trainer_unread(["inspect", &model]),
        trainer_unread(["--help"]),
    ];
    let flawed: Vec<String> = runs
        .iter()
        .filter(|run| run.code != Some(0) || run.stderr.contains("panicked"))
        .map(|run| format!("$ {}\n  ended with {:?}\n  {}", run.typed, run.code, run.stderr))
        .collect();
    assert!(flawed.is_empty(), "\n{}", flawed.join("\n"));
}
