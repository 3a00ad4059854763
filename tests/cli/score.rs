//! `score`: the whole way from files to log-probabilities, against transformers.

use crate::program::trainer;
use crate::scratch::{Scratch, golden_checkpoint};
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase};
use serde::Deserialize;

/// As in the parity tests: f32 sums in another order.
const LOG_PROBS: f32 = 1e-3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    prompt: String,
    prompt_token_ids: Vec<u32>,
    image_grid_thw: Vec<[usize; 3]>,
    position_ids: [Vec<i32>; 3],
    token_ids: Vec<u32>,
    log_probs: Vec<f32>,
}

#[test]
fn every_field_is_that_of_transformers() {
    let mut largest = Largest::new("log-probabilities through the program", LOG_PROBS);
    for checkpoint in CHECKPOINTS {
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let scratch = Scratch::conversation(&expected);
            let run = trainer([
                "score",
                "--model",
                &golden_checkpoint(checkpoint),
                "--messages",
                &scratch.arg("messages.json"),
                "--continuation",
                &expected.continuation,
                "--json",
            ]);
            let found: Record = serde_json::from_value(run.json()).expect("the record's fields");
            let at = format!("{checkpoint} {case}");
            assert_eq!(found.prompt, expected.prompt, "{at}");
            assert_eq!(found.prompt_token_ids, expected.input_ids, "{at}");
            assert_eq!(found.image_grid_thw, expected.image_grid_thw, "{at}");
            assert_eq!(found.position_ids, expected.position_ids, "{at}");
            assert_eq!(found.token_ids, expected.continuation_token_ids, "{at}");
            largest.compare(&at, &found.log_probs, &expected.continuation_log_probs);
        }
    }
    largest.check();
}

#[test]
fn people_get_a_line_a_token_and_the_sum() {
    let (expected, _) = ModelCase::read("qwen2_vl", "text-only");
    let scratch = Scratch::conversation(&expected);
    let (model, messages) = (golden_checkpoint("qwen2_vl"), scratch.arg("messages.json"));
    let run = trainer([
        "score",
        "--model",
        &model,
        "--messages",
        &messages,
        "--continuation",
        &expected.continuation,
    ]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let lines: Vec<(&str, f32)> = run
        .stdout
        .lines()
        .map(|line| line.split_once('\t').expect("two columns"))
        .map(|(name, value)| (name, value.parse().expect("a number")))
        .collect();
    let (total, tokens) = lines.split_last().expect("a sum");
    let ids: Vec<u32> = tokens.iter().map(|(id, _)| id.parse().expect("an id")).collect();
    assert_eq!(ids, expected.continuation_token_ids);
    let sum: f32 = expected.continuation_log_probs.iter().sum();
    assert_eq!(total.0, "total");
    assert!((total.1 - sum).abs() < LOG_PROBS * ids.len() as f32, "{} and {sum}", total.1);
}
