//! Training an adapter with the program.

use crate::run::Folder;
use fine_r1_tests::Largest;
use serde_json::Value;

/// As for whole models: sums have a fixed order.
const OTHER_THREADS: f32 = 1e-5;

const LORA: &str = "finetuning_type=lora";
const WEIGHTS: &str = "adapter_model.safetensors";

#[test]
fn the_loss_falls_by_every_kind_of_adapter() {
    for kind in [
        ["use_rslora=false"].as_slice(),
        &["use_rslora=true", "lora_dropout=0.05"],
        &["use_dora=true"],
        &["additional_target=embed_tokens"],
        &["quantization_bit=4"],
        &["quantization_bit=8", "use_dora=true"],
    ] {
        let folder = Folder::new();
        let settings = [LORA, "max_steps=30", "learning_rate=0.02", "lr_scheduler_type=constant"];
        folder.train("run", &[settings.as_slice(), kind].concat());
        let losses: Vec<f64> =
            folder.log("run").iter().map(|line| line["loss"].as_f64().expect("a number")).collect();
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (mean(&losses[..3]), mean(&losses[27..]));
        assert!(last < first / 2.0, "{kind:?}: from {first:.3} to {last:.3}: {losses:.3?}");
    }
}

#[test]
fn a_resumed_run_is_the_run_that_was_not() {
    for kind in [
        ["lora_dropout=0.2", "optim=adamw"].as_slice(),
        &["use_dora=true", "additional_target=lm_head"],
        &["quantization_bit=4", "optim=muon"],
    ] {
        let folder = Folder::new();
        let common = [LORA, "max_steps=6", "save_steps=3", "warmup_steps=2", "weight_decay=0.1"];
        let settings = [common.as_slice(), kind].concat();
        folder.train("whole", &settings);
        folder.copy_state("whole", "resumed", 3);
        folder.resume("resumed", &settings);
        for file in ["", "checkpoint-6/"].map(|place| format!("{place}{WEIGHTS}")) {
            let (whole, resumed) = (folder.bytes("whole", &file), folder.bytes("resumed", &file));
            assert!(whole == resumed, "{kind:?}: {file} differs");
        }
        let optimizer = "checkpoint-6/optimizer.safetensors";
        let (whole, resumed) = (folder.bytes("whole", optimizer), folder.bytes("resumed", optimizer));
        assert!(whole == resumed, "{kind:?}: {optimizer} differs");
        assert_eq!(folder.steps("resumed"), [4, 5, 6], "{kind:?}");
        assert!(whole.len() < 400_000, "only what is trained has a state: {} bytes", whole.len());
    }
}

#[test]
fn two_workers_learn_what_one_learns_under_dropout() {
    let folder = Folder::new();
    let settings = [
        LORA,
        "lora_dropout=0.3",
        "max_steps=4",
        "per_device_train_batch_size=1",
        "gradient_accumulation_steps=3",
    ];
    let train = |name: &str, workers: &str| {
        folder.train(name, &[settings.as_slice(), &[workers]].concat());
        folder.bytes(name, WEIGHTS)
    };
    let (one, two) = (train("one", "workers=1"), train("two", "workers=2"));
    let mut largest = Largest::new("adapters by two workers", OTHER_THREADS);
    for ((name, one), (_, two)) in crate::run::weights(&one).iter().zip(crate::run::weights(&two)) {
        largest.compare(name, &two, one);
    }
    largest.check();
}

#[test]
fn training_goes_on_from_a_finished_adapter() {
    let folder = Folder::new();
    folder.train("first", &[LORA, "max_steps=20", "learning_rate=0.02"]);
    let from = format!("adapter_name_or_path={}", folder.path("first"));
    folder.train("second", &[LORA, "max_steps=2", "learning_rate=1e-6", &from]);
    let loss = |run: &str, step: usize| folder.log(run)[step]["loss"].as_f64().expect("a number");
    assert!(loss("second", 0) < loss("first", 0) / 2.0, "what was learnt is there");
    let config: Value =
        serde_json::from_slice(&folder.bytes("second", "adapter_config.json")).expect("settings");
    let first: Value =
        serde_json::from_slice(&folder.bytes("first", "adapter_config.json")).expect("settings");
    assert_eq!(config, first);
}
