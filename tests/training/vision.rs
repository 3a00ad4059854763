//! The stage `vision`: the tower learns classes by itself.

use crate::run::{Folder, weights, weights_at_start};
use fine_r1_tests::program::trainer;
use serde_json::json;

const SETTINGS: [&str; 4] =
    ["stage=vision", "learning_rate=5e-3", "per_device_train_batch_size=2", "gradient_accumulation_steps=2"];

fn classes(rows: &[(&str, &str)]) -> Folder {
    let rows: Vec<_> = rows
        .iter()
        .map(|(image, name)| {
            json!({
                "conversations": [
                    { "from": "human", "value": "<image>Name it." },
                    { "from": "gpt", "value": name },
                ],
                "images": [image],
            })
        })
        .collect();
    Folder::with(&json!(rows), "qwen2_5_vl-untied")
}

fn two_classes() -> Folder {
    classes(&[("grey.png", "grey"), ("palette.png", "many"), ("grey.png", "grey"), ("palette.png", "many")])
}

#[test]
fn the_tower_learns_to_tell_classes_apart_and_the_language_model_stays() {
    let folder = two_classes();
    let said =
        folder.train("run", &[&SETTINGS[..], &["max_steps=40", "lr_scheduler_type=constant"]].concat());
    assert!(said.contains("2 classes for the vision tower"), "{said}");
    let losses: Vec<f64> = folder.log("run").iter().filter_map(|line| line["loss"].as_f64()).collect();
    assert!((losses[0] - 2_f64.ln()).abs() < 1e-4, "a fresh head finds all classes alike: {losses:.3?}");
    assert!(losses[39] < 0.1, "{losses:.3?}");
    let trained = weights(&folder.bytes("run", "model.safetensors"));
    for ((name, before), (_, after)) in weights_at_start().iter().zip(&trained) {
        assert_eq!(before != after, name.starts_with("visual."), "{name}");
    }
}

#[test]
fn a_run_that_was_resumed_is_the_run_that_was_not() {
    for optim in ["optim=adamw", "optim=muon"] {
        let folder = two_classes();
        let more = ["max_steps=6", "save_steps=3", "warmup_steps=2", "image_augmentation=0.5", optim];
        let settings = [&SETTINGS[..], &more].concat();
        folder.train("whole", &settings);
        folder.copy_state("whole", "resumed", 3);
        folder.resume("resumed", &settings);
        for file in [
            "model.safetensors",
            "checkpoint-6/model.safetensors",
            "checkpoint-6/classifier.safetensors",
            "checkpoint-6/optimizer.safetensors",
        ] {
            assert!(folder.bytes("whole", file) == folder.bytes("resumed", file), "{optim}: {file} differs");
        }
    }
}

#[test]
fn rows_put_aside_are_measured_by_what_is_named_rightly() {
    let folder = two_classes();
    let more = ["max_steps=30", "eval_dataset=rows", "eval_steps=30", "lr_scheduler_type=constant"];
    folder.train("run", &[&SETTINGS[..], &more].concat());
    let found: Vec<_> = folder.log("run").iter().filter_map(|line| line["eval_accuracy"].as_f64()).collect();
    assert_eq!(found, [1.0]);
}

#[test]
fn what_is_no_lesson_is_refused() {
    let alike = [("grey.png", "grey"), ("palette.png", "grey")];
    let all_different = [("grey.png", "a"), ("palette.png", "b"), ("tiny.png", "c")];
    for (rows, setting, expected) in [
        (alike.as_slice(), "seed=1", "1 different answers in 2 rows are no classes"),
        (&all_different, "seed=1", "3 different answers in 3 rows are no classes"),
        (&alike, "packing=true", "the stage `vision` trains the whole vision tower"),
        (&alike, "freeze_vision_tower=true", "the stage `vision` trains the whole vision tower"),
        (&alike, "stage=dpo", "unknown variant `dpo`, expected `sft` or `vision`"),
    ] {
        let folder = classes(rows);
        let recipe = folder.path("recipe.toml");
        let output = format!("output_dir={}", folder.path("run"));
        let run = trainer([
            "sft",
            "--recipe",
            &recipe,
            "--set",
            "stage=vision",
            "--set",
            &output,
            "--set",
            setting,
        ]);
        assert_eq!(run.code, Some(2), "{}\n{}", run.typed, run.stderr);
        assert!(run.stderr.contains(expected) && run.stderr.contains("\nhint: "), "{}", run.stderr);
        assert!(folder.names("run").is_empty(), "nothing is begun");
    }
}
