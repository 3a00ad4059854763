//! `gpu-check`, on the processor: the check itself must hold before it is carried to a GPU.

use crate::program::{Refusals, trainer};
use crate::scratch::Scratch;
use fine_r1_tests::workspace;
use serde_json::Value;
use std::fs;

/// The smallest of everything.
const SMALL: [&str; 21] = [
    "gpu-check",
    "--device",
    "flex",
    "--preset",
    "nano",
    "--photo-side",
    "84",
    "--batch",
    "1,3",
    "--new-tokens",
    "4",
    "--rounds",
    "1",
    "--matmul-side",
    "64",
    "--copy-mib",
    "1",
    "--sft-samples",
    "2",
    "--tapo-questions",
    "1",
];

fn texts<'value>(list: &'value Value, field: &str) -> Vec<&'value str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|entry| entry[field].as_str().expect("a text")).collect()
}

#[test]
fn every_part_is_measured_and_written() {
    let scratch = Scratch::new();
    let measured = ["--dtype", "f32", "--only", "ceilings,inference,sft,tapo", "--out"];
    let out = scratch.dir();
    let report = trainer(SMALL.iter().chain(&measured).copied().chain([out.as_str(), "--json"])).json();
    assert_eq!(report["failures"], Value::Array(Vec::new()));
    let expected = [
        "copy",
        "matmul",
        "product with one row",
        "prefill",
        "decode, batch 1",
        "decode, batch 3",
        "SFT step, LoRA",
        "SFT step, full",
        "TAPO rollout, LoRA",
        "TAPO update, LoRA",
        "TAPO step, LoRA",
        "TAPO rollout, full",
        "TAPO update, full",
        "TAPO step, full",
    ];
    assert_eq!(texts(&report["measurements"], "what"), expected);
    for one in report["measurements"].as_array().expect("a list") {
        assert!(one["value"].as_f64() > Some(0.0) && one["secs"].as_f64() > Some(0.0), "{one}");
    }
    for bounded in ["prefill", "decode, batch 3", "SFT step, full", "TAPO update, LoRA"] {
        let list = report["measurements"].as_array().expect("a list");
        let one = list.iter().find(|one| one["what"] == bounded).expect("it is measured");
        assert!(one["ceiling"]["share"].as_f64() > Some(0.0), "{one}");
    }
    let saved: Value = serde_json::from_slice(&scratch.read("gpu-check.json")).expect("JSON");
    assert_eq!(saved, report);
    let table = String::from_utf8(scratch.read("gpu-check.md")).expect("text");
    assert!(expected.iter().all(|what| table.contains(&format!("| {what} |"))), "{table}");
}

#[test]
fn the_processor_equals_itself_and_the_embedded_model_recognises() {
    let photo = workspace().join("tests/data/airliners/images/test_seen/747-400/delta-0.jpg");
    let photo = photo.to_str().expect("a UTF-8 path");
    let report = trainer(SMALL.iter().copied().chain(["--only", "parity", "--json", photo])).json();
    assert_eq!(report["failures"], Value::Array(Vec::new()));
    let comparisons = texts(&report["comparisons"], "what");
    for stage in [
        "vision tower",
        "logits",
        "decoded tokens of two prompts",
        "full step of fine-tuning: gradients",
        "LoRA step of fine-tuning: change of the weights",
        "QLoRA step of fine-tuning: gradients",
        "step of TAPO: change of the weights",
    ] {
        assert!(comparisons.contains(&stage), "{stage} is missing in {comparisons:#?}");
    }
    let named =
        |what: &&str| what.strip_prefix("recognition of delta-0: ").is_some_and(|name| !name.is_empty());
    assert_eq!(comparisons.iter().copied().filter(|what| named(what)).count(), 2, "{comparisons:#?}");
    // Rounded to bf16 the same work gives other numbers: the comparison looks at something.
    let list = report["comparisons"].as_array().expect("a list");
    let rounded = list.iter().filter(|one| one["dtype"] == "bfloat16" && one["what"] == "logits");
    assert!(rounded.clone().count() == 1 && rounded.clone().all(|one| one["error"].as_f64() > Some(1e-4)));
}

/// A stand-in for torch: it must be asked for the sizes, and its answers must stand beside ours.
#[test]
fn torch_stands_beside_us() {
    let scratch = Scratch::new();
    let script = scratch.write(
        "peer.sh",
        "asked=$(cat)\ncase $asked in *'\"new_tokens\":4'*'\"answer_tokens\":'*) ;; *) exit 3 ;; esac\n\
         echo '{\"what\": \"copy\", \"value\": 2.0, \"reserved_bytes\": 1024}'\n\
         echo '{\"what\": \"matmul\", \"value\": 0.5}'\n",
    );
    let torch = ["--only", "ceilings", "--torch", "/bin/sh", "--torch-script", &script, "--json"];
    let report = trainer(SMALL.iter().copied().chain(torch)).json();
    let copy = &report["measurements"][0];
    assert_eq!((copy["torch"].as_f64(), copy["torch_reserved_bytes"].as_u64()), (Some(2.0), Some(1024)));
    let ratio = copy["value"].as_f64().expect("ours") / 2.0;
    assert!((copy["over_torch"].as_f64().expect("a ratio") - ratio).abs() < 1e-9 * ratio);
}

#[test]
fn what_fails_is_told_and_the_rest_is_kept() {
    let scratch = Scratch::new();
    let out = scratch.dir();
    let script = scratch.write("peer.sh", "echo '{\"what\": \"copy\", \"failure\": \"OutOfMemoryError\"}'\n");
    let torch = ["--only", "ceilings", "--torch", "/bin/sh", "--torch-script", &script, "--out", &out];
    let run = trainer(SMALL.iter().copied().chain(torch));
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stdout.contains("| torch: copy | OutOfMemoryError |"), "{}", run.stdout);
    assert!(fs::read_to_string(scratch.at("gpu-check.md")).expect("a table").contains("| matmul |"));
}

#[test]
fn what_cannot_be_checked_is_refused() {
    let mut refusals = Refusals::default();
    refusals.expect("a device that is not built in", ["gpu-check", "--device", "cuda"], &["cuda"]);
    refusals.expect_usage("an answer of one token", ["gpu-check", "--new-tokens", "1"], &["at least 2"]);
    refusals.expect_usage("no such preset", ["gpu-check", "--preset", "70b"], &["70b"]);
    refusals.check();
}
