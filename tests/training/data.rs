//! How samples are put together makes no difference to what is learnt from them.

use crate::run::{self, Folder};
use serde_json::Value;

/// Sums in another order, in f32: as a share of the value.
const ANOTHER_ORDER: f64 = 1e-5;

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} of {line}"))
}

/// Loss and length of the gradient of a run's first step.
fn first_step(folder: &Folder, name: &str, settings: &[&str]) -> [f64; 2] {
    folder.train(name, &[settings, &["max_steps=1"]].concat());
    let log = folder.log(name);
    ["loss", "grad_norm"].map(|field| number(&log[0], field))
}

fn assert_near(why: &str, found: [f64; 2], expected: [f64; 2]) {
    for (found, expected) in found.into_iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < ANOTHER_ORDER, "{why}: {found}, expected {expected}");
    }
}

#[test]
fn packed_grouped_and_accumulated_samples_teach_the_same() {
    let folder = Folder::new();
    let expected = first_step(&folder, "one batch", &["per_device_train_batch_size=4"]);
    for (why, settings) in [
        ("packed", &["packing=true", "per_device_train_batch_size=1"][..]),
        ("packed in two", &["neat_packing=true", "cutoff_len=160", "per_device_train_batch_size=4"]),
        ("accumulated", &["per_device_train_batch_size=1", "gradient_accumulation_steps=4"]),
        (
            "grouped",
            &["group_by_length=true", "per_device_train_batch_size=2", "gradient_accumulation_steps=2"],
        ),
    ] {
        assert_near(why, first_step(&folder, why, settings), expected);
    }
}

#[test]
fn however_data_is_arranged_a_resumed_run_is_the_run_that_was_not_stopped() {
    for (name, arranged) in [
        ("packed", &["packing=true", "cutoff_len=160", "per_device_train_batch_size=1"][..]),
        ("grouped", &["group_by_length=true", "per_device_train_batch_size=1"]),
        ("packed and changed", &["packing=true", "cutoff_len=160", "image_augmentation=0.7"]),
        ("measured", &["val_size=1", "eval_steps=1"]),
        ("mixed", &["dataset=\"rows,rows\"", "mix_strategy=interleave_over", "interleave_probs=0.7,0.3"]),
    ] {
        let folder = Folder::new();
        let settings = [&["max_steps=5", "save_steps=3"], arranged].concat();
        folder.train("whole", &settings);
        folder.copy_state("whole", "resumed", 3);
        folder.resume("resumed", &settings);
        for file in ["model.safetensors", "checkpoint-5/optimizer.safetensors"] {
            assert!(folder.bytes("whole", file) == folder.bytes("resumed", file), "{name}: {file} differs");
        }
        let losses = |run: &str| -> Vec<Value> {
            let log = folder.log(run);
            log[log.len() - 2..]
                .iter()
                .flat_map(|line| [line["loss"].clone(), line["eval_loss"].clone()])
                .collect()
        };
        assert_eq!(losses("whole"), losses("resumed"), "{name}");
    }
}

#[test]
fn rows_put_aside_are_measured_and_not_learnt_from() {
    let folder = Folder::new();
    // The same rows on either side, and steps that go nowhere: both losses are the same.
    let still = ["per_device_train_batch_size=4", "max_steps=3", "learning_rate=1e-20", "eval_dataset=rows"];
    let said = folder.train("still", &[&still[..], &["eval_steps=2"]].concat());
    let log = folder.log("still");
    let measured: Vec<&Value> = log.iter().filter(|line| !line["eval_loss"].is_null()).collect();
    let steps: Vec<&Value> = measured.iter().map(|line| &line["step"]).collect();
    assert_eq!(steps, [2, 3], "every second step, and the last");
    assert_near(
        "loss of the same rows",
        [number(measured[0], "eval_loss"), number(measured[1], "eval_loss")],
        [number(&log[0], "loss"); 2],
    );
    assert!(said.contains("step 2: loss ") && said.contains("on samples that are not trained on"), "{said}");

    let settings = ["max_steps=4", "save_steps=2"];
    folder.train("unmeasured", &settings);
    folder.train("measured", &[&settings[..], &["eval_dataset=rows", "eval_steps=1"]].concat());
    let weights = |run: &str| folder.bytes(run, "model.safetensors");
    assert!(weights("unmeasured") == weights("measured"), "measuring changes nothing");

    folder.train("aside", &["val_size=0.5", "num_train_epochs=1.0"]);
    assert_eq!(folder.steps("aside"), [1, 1], "two of four rows are one step of two, and a measurement");
    assert!(folder.log("aside").iter().any(|line| !line["eval_loss"].is_null()));
}

#[test]
fn samples_that_are_too_long_are_left_out_before_the_first_step() {
    let folder = Folder::new();
    let longest = ["cutoff_len=80", "num_train_epochs=1.0", "per_device_train_batch_size=3"];
    let said = folder.train("run", &longest);
    assert!(said.contains("1 samples were longer than cutoff_len (80) and were left out"), "{said}");
    assert_eq!(folder.steps("run"), [1], "three of four rows are one step of three");
    assert!(run::weights(&folder.bytes("run", "model.safetensors")) != run::weights_at_start());
}
