//! Reinforcement learning of an adapter: the weights stay, the reference is the model with its adapter off, and
//! what is written is PEFT's.

use crate::colours::Colours;
use serde_json::Value;

const LORA: &str = "finetuning_type=lora";
const WEIGHTS: &str = "adapter_model.safetensors";
/// A fresh adapter changes nothing, so that policy and reference are one; both read their answers in the same
/// micro-batches.
const SAME_MODEL: f64 = 1e-9;

#[test]
fn every_kind_of_adapter_learns() {
    for (verb, kind) in [
        ("grpo", ["lora_rank=8"].as_slice()),
        ("tapo", &["use_rslora=true", "lora_dropout=0.05"]),
        ("dapo", &["use_dora=true"]),
        ("grpo", &["additional_target=lm_head"]),
        ("grpo", &["quantization_bit=8"]),
    ] {
        let colours = Colours::new();
        let settings = [LORA, "max_steps=40", "update.learning_rate=2e-2"];
        colours.train(verb, "run", &[settings.as_slice(), kind].concat());
        let rewards = colours.column("run", "/reward/overall");
        let last = rewards[rewards.len() - 3..].iter().sum::<f64>() / 3.0;
        assert!(rewards[0] < 0.4 && last > 0.9, "{verb} {kind:?}: {rewards:.2?}");
        assert_eq!(
            colours.names("run", "safetensors"),
            [WEIGHTS],
            "{verb} {kind:?}: weights stay where they are"
        );
        let config: Value =
            serde_json::from_slice(&colours.bytes("run", "adapter_config.json")).expect("settings");
        assert_eq!(config["peft_type"], "LORA");
    }
}

#[test]
fn the_reference_is_the_model_without_its_adapter() {
    let colours = Colours::new();
    let settings = ["filter.enabled=false", "kl.coefficient=1e-3", "update.learning_rate=2e-2"];
    let train = |run: &str, more: &[&str]| {
        colours.train("grpo", run, &[settings.as_slice(), more].concat());
        colours.column(run, "/loss/kl")
    };
    let kl = train("adapter", &[LORA, "max_steps=6"]);
    assert!(kl[0].abs() < SAME_MODEL, "a fresh adapter changes nothing: {kl:?}");
    assert!(kl[5] > 1e-4, "a trained one does: {kl:?}");

    // Gone on with from a finished adapter, the reference is still the checkpoint.
    let from = format!("adapter_name_or_path={}", colours.path("adapter"));
    let again = train("again", &[LORA, "max_steps=1", &from]);
    assert!(again[0] > 1e-4, "{again:?}");

    // With a module that is trained as a whole it is a second model, as the checkpoint has it.
    let whole = train("whole", &[LORA, "max_steps=6", "additional_target=lm_head"]);
    assert!(whole[0].abs() < SAME_MODEL && whole[5] > 1e-4, "{whole:?}");
    let from = format!("adapter_name_or_path={}", colours.path("whole"));
    let again = train("whole-again", &[LORA, "max_steps=1", "additional_target=lm_head", &from]);
    assert!(again[0] > 1e-4, "{again:?}");
}

/// Dropout makes another model of the one that answers were drawn from.
#[test]
fn a_mismatch_that_is_not_measured_is_not_shown() {
    let colours = Colours::new();
    let said = colours.train("grpo", "run", &[LORA, "max_steps=1", "lora_dropout=0.1"]);
    assert!(said.contains("mismatch -  "), "{said}");
    assert_eq!(colours.log("run")[0]["mismatch_max"], Value::Null);
}

/// With rewards that are all alike, what a report shows is the distance to the reference alone.
#[test]
fn a_report_shows_what_the_reference_has_cost() {
    let colours = Colours::new();
    let settings = [LORA, "max_steps=6", "filter.enabled=false", "update.learning_rate=2e-2"];
    colours.train("grpo", "before", &settings);
    colours.write_rows("hopeless.jsonl", "no such answer", "no such answer", |_| ());
    let from = format!("adapter_name_or_path={}", colours.path("before"));
    let rows = colours.rows("hopeless.jsonl");
    let report = |run: &str, coefficient: &str| {
        let settings = [LORA, "max_steps=1", "report_steps=1", "kl.place=reward", coefficient, &from, &rows];
        colours.train("grpo", run, &settings);
        String::from_utf8(colours.bytes(run, "reports/step-1.html")).expect("UTF-8")
    };
    let free = report("free", "kl.coefficient=0.0");
    let answers = free.matches("<td>+0.00<td>").count();
    assert_eq!(answers, 30, "{free}");
    let charged = report("charged", "kl.coefficient=0.5");
    assert!(charged.matches("<td>+0.00<td>").count() < answers / 2, "{charged}");
}

#[test]
fn a_resumed_run_is_the_run_that_was_not() {
    for (verb, kind) in [
        ("grpo", ["lora_dropout=0.2", "kl.target=0.1"].as_slice()),
        ("tapo", &["use_dora=true", "additional_target=lm_head", "workers=2"]),
        ("dapo", &["quantization_bit=4", "update.optim=muon"]),
    ] {
        let colours = Colours::new();
        let common = [
            LORA,
            "max_steps=6",
            "save_steps=3",
            "filter.enabled=false",
            "rollout.prompts_per_step=4",
            "update.micro_batch_size=7",
        ];
        let settings = [common.as_slice(), kind].concat();
        colours.train(verb, "whole", &settings);
        colours.copy_state("whole", "resumed", 3);
        colours.resume(verb, "resumed", &settings);
        for file in [
            WEIGHTS,
            "adapter_config.json",
            "checkpoint-6/adapter_model.safetensors",
            "checkpoint-6/optimizer.safetensors",
            "checkpoint-6/trainer_state.json",
        ] {
            let (whole, resumed) = (colours.bytes("whole", file), colours.bytes("resumed", file));
            assert!(whole == resumed, "{verb} {kind:?}: {file} differs");
        }
        assert_eq!(colours.column("resumed", "/step"), [4.0, 5.0, 6.0], "{verb} {kind:?}");
    }
}
