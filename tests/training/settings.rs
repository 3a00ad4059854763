//! What entries of a recipe do to a run.

use crate::run::{self, Folder};
use fine_r1_tests::Largest;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// What another order of sums may do to a weight in a few steps of AdamW.
const OTHER_ORDER: f32 = 2e-5;

fn same(folder: &Folder, what: &'static str, one: &str, two: &str) {
    let weights = |name: &str| run::weights(&folder.bytes(name, "model.safetensors"));
    let (one, two) = (weights(one), weights(two));
    assert!(one != run::weights_at_start(), "something was learnt");
    let mut largest = Largest::new(what, OTHER_ORDER);
    for ((name, one), (_, two)) in one.iter().zip(&two) {
        largest.compare(name, two, one);
    }
    largest.check();
}

#[test]
fn twice_the_accumulation_is_twice_the_batch() {
    let folder = Folder::new();
    let settings = |batch: &'static str, accumulation: &'static str| {
        ["max_steps=4", "learning_rate=1e-4", batch, accumulation]
    };
    folder.train("batch", &settings("per_device_train_batch_size=4", "gradient_accumulation_steps=1"));
    folder.train("parts", &settings("per_device_train_batch_size=2", "gradient_accumulation_steps=2"));
    folder.train("ones", &settings("per_device_train_batch_size=1", "gradient_accumulation_steps=4"));
    same(&folder, "weights of half batches", "batch", "parts");
    same(&folder, "weights of quarter batches", "batch", "ones");
}

#[test]
fn recomputation_learns_the_same_and_twice_the_same_bits() {
    let folder = Folder::new();
    let settings = ["max_steps=4", "learning_rate=1e-4"];
    folder.train("kept", &settings);
    let again = [settings.as_slice(), &["gradient_checkpointing=true"]].concat();
    folder.train("recomputed", &again);
    // LlamaFactory's name for it.
    folder.train("theirs", &[settings.as_slice(), &["disable_gradient_checkpointing=false"]].concat());
    same(&folder, "weights by recomputation", "kept", "recomputed");
    assert!(folder.bytes("recomputed", "model.safetensors") == folder.bytes("theirs", "model.safetensors"));
}

#[test]
fn weights_in_bf16_have_masters_and_go_on_from_them() {
    let folder = Folder::new();
    let settings = ["max_steps=4", "save_steps=2", "bf16=true"];
    folder.train("whole", &settings);
    let dtypes = |file: &str, kind: &str| -> Vec<Dtype> {
        let bytes = folder.bytes("whole", file);
        let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
        tensors.iter().filter(|(name, _)| name.starts_with(kind)).map(|(_, view)| view.dtype()).collect()
    };
    let weights = dtypes("model.safetensors", "");
    assert!(weights.iter().all(|dtype| *dtype == Dtype::BF16), "{weights:?}");
    let masters = dtypes("checkpoint-2/optimizer.safetensors", "master.");
    assert_eq!(masters, vec![Dtype::F32; weights.len()], "a master for every weight");
    let config: Value = serde_json::from_slice(&folder.bytes("whole", "config.json")).expect("JSON");
    assert_eq!(config["torch_dtype"], "bfloat16");
    folder.copy_state("whole", "resumed", 2);
    folder.resume("resumed", &settings);
    for file in ["model.safetensors", "checkpoint-4/optimizer.safetensors"] {
        assert!(folder.bytes("whole", file) == folder.bytes("resumed", file), "{file} differs");
    }
    // About what f32 learns.
    folder.train("f32", &["max_steps=4"]);
    let losses = |run: &str| -> Vec<f64> {
        folder.log(run).iter().map(|line| line["loss"].as_f64().expect("a number")).collect()
    };
    let (half, whole) = (losses("whole"), losses("f32"));
    assert!(half.iter().zip(&whole).all(|(half, whole)| (half - whole).abs() < 0.5), "{half:?} {whole:?}");
}

#[test]
fn parts_have_learning_rates_of_their_own() {
    let folder = Folder::new();
    folder.train("run", &["max_steps=2", "vision_tower_lr=1e-12", "mm_projector_lr=1e-12"]);
    let trained = run::weights(&folder.bytes("run", "model.safetensors"));
    for ((name, before), (_, after)) in run::weights_at_start().iter().zip(&trained) {
        let moved = before.iter().zip(after).any(|(before, after)| (before - after).abs() > 1e-6);
        assert_eq!(moved, !name.starts_with("visual."), "{name}");
    }
}

#[test]
fn the_average_is_what_a_run_ends_with() {
    let folder = Folder::new();
    let settings =
        ["max_steps=3", "save_steps=1", "save_total_limit=3", "lr_scheduler_type=constant", "ema_decay=0.5"];
    folder.train("run", &settings);
    let mut expected = run::weights_at_start();
    for step in 1..=3 {
        let weights = folder.bytes("run", &format!("checkpoint-{step}/model.safetensors"));
        for ((_, average), (_, weights)) in expected.iter_mut().zip(run::weights(&weights)) {
            for (average, weight) in average.iter_mut().zip(weights) {
                *average = 0.5 * *average + 0.5 * weight;
            }
        }
    }
    let mut largest = Largest::new("averages of the weights", OTHER_ORDER);
    let written = run::weights(&folder.bytes("run", "model.safetensors"));
    for ((name, found), (_, expected)) in written.iter().zip(&expected) {
        largest.compare(name, found, expected);
    }
    largest.check();
    let last = run::weights(&folder.bytes("run", "checkpoint-3/model.safetensors"));
    assert!(written != last, "the average lags behind");
}

/// With a learning rate that spoils everything, the first state is the best.
#[test]
fn the_best_state_is_kept_and_written() {
    let folder = Folder::new();
    let said = folder.train(
        "run",
        &[
            "max_steps=5",
            "save_steps=1",
            "save_total_limit=2",
            "eval_dataset=rows",
            "load_best_model_at_end=true",
            "learning_rate=0.05",
            "warmup_steps=1",
            "lr_scheduler_type=constant_with_warmup",
        ],
    );
    let log = folder.log("run");
    let measured: Vec<(u64, f64)> =
        log.iter().filter_map(|line| Some((line["step"].as_u64()?, line["eval_loss"].as_f64()?))).collect();
    assert_eq!(measured.len(), 5, "{log:?}");
    let best = measured.iter().min_by(|one, other| one.1.total_cmp(&other.1)).expect("five").0;
    let kept = folder.names("run").into_iter().filter(|name| name.starts_with("checkpoint-"));
    let mut expected = vec![format!("checkpoint-{best}"), "checkpoint-5".to_owned()];
    if best == 5 {
        expected[0] = "checkpoint-4".to_owned();
    }
    assert_eq!(kept.collect::<Vec<_>>(), expected, "{measured:?}");
    let best = format!("checkpoint-{best}/model.safetensors");
    assert!(folder.bytes("run", "model.safetensors") == folder.bytes("run", &best), "{said}");
}

#[test]
fn a_run_tells_of_itself() {
    let folder = Folder::new();
    let said = folder.train("run", &["max_steps=3", "flash_attn=auto", "stage=sft", "report_to=none"]);
    assert!(said.contains("no meaning here, left out: flash_attn, report_to"), "{said}");
    assert!(said.contains("ETA"), "{said}");
    let drawing = String::from_utf8(folder.bytes("run", "loss.svg")).expect("UTF-8");
    assert!(drawing.starts_with("<svg") && drawing.contains("polyline"), "{drawing}");
    let resolved = String::from_utf8(folder.bytes("run", "recipe.toml")).expect("UTF-8");
    assert!(resolved.contains("adam_beta2 = 0.99") && resolved.contains("max_steps = 3"), "{resolved}");
    let provenance: Value = serde_json::from_slice(&folder.bytes("run", "provenance.jsonl")).expect("a line");
    assert_eq!((&provenance["seed"], &provenance["from_step"]), (&42.into(), &0.into()));
    assert_eq!(provenance["packages"]["burn"], "0.22.1");
    let events = folder.names("run/tensorboard");
    assert_eq!(events.len(), 1);
    let events = folder.bytes("run", &format!("tensorboard/{}", events[0]));
    let has = |text: &str| events.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("brain.Event:2") && has("train/loss") && has("train/learning_rate"));
}

#[test]
fn numbers_that_are_none_stop_a_run_by_its_rows() {
    let folder = Folder::new();
    let run = folder.start("run", &["max_steps=20", "learning_rate=1e30"]);
    let output = run.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for named in ["step 2: the loss is NaN", "rows.json", "lower learning_rate"] {
        assert!(said.contains(named), "no {named:?} in {said}");
    }
}

#[test]
fn what_a_resumed_run_does_otherwise_is_told() {
    let folder = Folder::new();
    folder.train("run", &["max_steps=2", "save_steps=1", "learning_rate=1e-4"]);
    let settings = ["max_steps=3", "save_steps=1", "learning_rate=1e-5"];
    let run = folder.start_with("run", &settings, &["--resume"]);
    let output = run.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: gone on with")).collect();
    assert_eq!(told.len(), 2, "{said}");
    assert!(told[0].ends_with("learning_rate is 0.00001, was 0.0001"), "{said}");
    assert!(told[1].ends_with("max_steps is 3, was 2"), "{said}");
}

#[test]
fn a_run_that_trains_nothing_is_refused() {
    let folder = Folder::new();
    let frozen =
        ["freeze_language_model=true", "freeze_vision_tower=true", "freeze_multi_modal_projector=true"];
    let output = folder.start("run", &frozen).wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("freeze_language_model"), "{said}");
}
