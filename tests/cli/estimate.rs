//! `estimate`: what a recipe will take, and what cannot be estimated.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use serde_json::{Value, json};
use std::fs;

/// How far the reckoned peak may lie from what the system measures of the run itself.
#[cfg(target_os = "linux")]
const PEAK: f64 = 0.15;

/// A recipe of two steps over pictures and words of some length.
fn folder() -> Scratch {
    let scratch = Scratch::new();
    fs::copy(golden_image("square.png"), scratch.at("square.png")).expect("a picture");
    let row = json!({
        "conversations": [
            { "from": "human", "value": "<image>What is it?" },
            { "from": "gpt", "value": "It has many colours. ".repeat(12) },
        ],
        "images": ["square.png"],
    });
    scratch.write("rows.json", Value::Array(vec![row; 32]).to_string());
    let info = json!({ "rows": { "file_name": "rows.json", "formatting": "sharegpt" } });
    scratch.write("dataset_info.json", info.to_string());
    scratch.write(
        "recipe.toml",
        format!(
            "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\noutput_dir = {:?}\n\
             max_steps = 3\nper_device_train_batch_size = 16\nfreeze_vision_tower = false\n\
             freeze_multi_modal_projector = false\n",
            golden_checkpoint("qwen2_5_vl-untied"),
            scratch.dir(),
            scratch.arg("run"),
        ),
    );
    scratch
}

fn arguments(folder: &Scratch, flags: &[&str]) -> Vec<String> {
    let recipe = folder.arg("recipe.toml");
    ["estimate", "--recipe", &recipe].iter().chain(flags).map(|word| (*word).to_owned()).collect()
}

#[test]
fn memory_and_time_are_told_before_anything_is_written() {
    let folder = folder();
    let estimate = trainer(arguments(&folder, &["--json"])).json();
    assert_eq!(estimate["steps"], 3);
    assert_eq!(estimate["samples"], 32);
    assert_eq!(estimate["weights"]["total"], estimate["weights"]["trained"]);
    let memory = &estimate["memory"];
    let parts = ["program", "weights", "optimizer", "gradients", "activations", "surplus"];
    let sum: u64 = parts.iter().map(|part| memory[part].as_u64().expect("bytes")).sum();
    assert_eq!(estimate["peak_bytes"], sum);
    let step = estimate["step_secs"].as_f64().expect("seconds");
    let total = estimate["total_secs"].as_f64().expect("seconds");
    assert!(step > 0.0 && (total - 3.0 * step).abs() < 1e-6, "{step} {total}");

    let peak = |set: &str| trainer(arguments(&folder, &["--json", "--set", set])).json();
    let bytes = |estimate: &Value| estimate["peak_bytes"].as_u64().expect("bytes");
    assert!(bytes(&peak("gradient_checkpointing=true")) < bytes(&estimate), "recomputation takes less");
    let frozen = peak("freeze_language_model=true");
    assert!(frozen["weights"]["trained"].as_u64() < estimate["weights"]["trained"].as_u64());
    assert!(bytes(&peak("per_device_train_batch_size=4")) < bytes(&estimate), "a smaller batch takes less");

    let said = trainer(arguments(&folder, &[]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    for line in ["peak memory", "activations", "time "] {
        assert!(said.stdout.contains(line), "{}", said.stdout);
    }
    assert!(!folder.at("run").exists(), "an estimate writes nothing");
}

/// The peak that the system has measured when the run has ended, against what was reckoned.
#[cfg(target_os = "linux")]
#[test]
fn the_reckoned_peak_is_about_the_measured_one() {
    let folder = folder();
    for set in ["gradient_checkpointing=false", "gradient_checkpointing=true", "finetuning_type=lora"] {
        let output = format!("output_dir={}", folder.arg(set));
        let estimate = trainer(arguments(&folder, &["--json", "--set", set])).json();
        let reckoned = estimate["peak_bytes"].as_f64().expect("bytes");
        let recipe = folder.arg("recipe.toml");
        let run = ["sft", "--recipe", &recipe, "--set", set, "--set", &output];
        let measured = crate::program::peak_bytes(run, 0) as f64;
        let share = reckoned / measured;
        println!("{set}: reckoned {:.1} MiB, measured {:.1} MiB", reckoned / 1048576.0, measured / 1048576.0);
        assert!((share - 1.0).abs() <= PEAK, "{set}: {share:.3} of what was measured");
    }
}

#[test]
fn an_adapter_trains_little_beside_weights_that_stay() {
    let folder = folder();
    let of = |sets: &[&str]| {
        let flags: Vec<&str> =
            ["--json"].into_iter().chain(sets.iter().flat_map(|set| ["--set", set])).collect();
        trainer(arguments(&folder, &flags)).json()
    };
    let number = |estimate: &Value, path: &str| {
        estimate.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path}: {estimate}"))
    };
    let full = of(&[]);
    let lora = of(&["finetuning_type=lora"]);
    let (trained, total) = (number(&lora, "/weights/trained"), number(&lora, "/weights/total"));
    assert_eq!(total, number(&full, "/weights/total") + trained, "the adapter stands beside the weights");
    assert_eq!(number(&lora, "/memory/optimizer"), 8 * trained, "two moments in f32");
    assert_eq!(number(&of(&["finetuning_type=lora", "lora_rank=16"]), "/weights/trained"), 2 * trained);
    let lengths = number(&of(&["finetuning_type=lora", "use_dora=true"]), "/weights/trained") - trained;
    assert!((1..trained).contains(&lengths), "{lengths} lengths of rows beside {trained}");
    let head = of(&["finetuning_type=lora", "additional_target=lm_head"]);
    assert_eq!(number(&head, "/weights/trained") - trained, number(&head, "/weights/head"));
    let packed = of(&["finetuning_type=lora", "quantization_bit=4"]);
    assert!(number(&packed, "/memory/weights") < number(&lora, "/memory/weights"));
    let dropped = of(&["finetuning_type=lora", "lora_dropout=0.1"]);
    assert!(number(&dropped, "/memory/activations") > number(&lora, "/memory/activations"));
}

/// Questions about a picture, answered at length.
fn questions() -> Scratch {
    let scratch = Scratch::new();
    fs::copy(golden_image("square.png"), scratch.at("square.png")).expect("a picture");
    let row = json!({
        "problem": "<image>What is it?", "answer": "A dot",
        "images": ["square.png"], "positive": ["square.png"], "negative": ["square.png"],
    });
    scratch.write("rows.jsonl", format!("{row}\n").repeat(8));
    scratch.write(
        "recipe.toml",
        format!(
            "model_name_or_path = {:?}\noutput_dir = {:?}\nmax_steps = 2\n[data]\ntrain_files = [{:?}]\n\
             [rollout]\nprompts_per_step = 4\nprompts_per_try = 4\nmax_new_tokens = 96\ntop_p = 1.0\n\
             [update]\nmicro_batch_size = 16\n[filter]\nenabled = false\n",
            golden_checkpoint("qwen2_5_vl-untied"),
            scratch.arg("run"),
            scratch.arg("rows.jsonl"),
        ),
    );
    scratch
}

fn of_verb(folder: &Scratch, verb: &str, sets: &[&str]) -> Value {
    let recipe = folder.arg("recipe.toml");
    let flags = sets.iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> =
        ["estimate", verb, "--recipe", &recipe, "--json"].into_iter().chain(flags).collect();
    trainer(arguments).json()
}

#[test]
fn reinforcement_learning_is_told_by_its_parts() {
    let folder = questions();
    let number = |estimate: &Value, path: &str| {
        estimate.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {estimate}"))
    };
    for verb in ["grpo", "dapo", "papo", "noisy-rollout", "tapo"] {
        let estimate = of_verb(&folder, verb, &[]);
        assert_eq!(estimate["steps"], 2, "{verb}");
        let memory = estimate["memory"].as_object().expect("an object");
        let sum: f64 = memory.values().map(|part| part.as_f64().expect("bytes")).sum();
        assert_eq!(number(&estimate, "/peak_bytes"), sum, "{verb}");
        let phases = estimate["phase_bytes"].as_object().expect("an object");
        let highest = phases.values().map(|bytes| bytes.as_f64().expect("bytes")).fold(0.0, f64::max);
        assert_eq!(highest, sum, "{verb}: the peak is that of a phase");
        let seconds = estimate["phase_secs"].as_object().expect("an object");
        assert!(seconds.values().all(|secs| secs.as_f64().expect("seconds") > 0.0), "{verb}: {seconds:?}");
        let reference = number(&estimate, "/memory/reference");
        assert_eq!(reference > 0.0, verb == "grpo", "{verb}: {reference}");
        let reads = ["grpo", "papo", "tapo"].contains(&verb);
        assert_eq!(phases.contains_key("readings"), reads, "{verb}: {phases:?}");
    }
    let plain = of_verb(&folder, "tapo", &[]);
    // What the program takes already is measured, and is another at every start.
    let own = |estimate: &Value, phase: &str| number(estimate, phase) - number(estimate, "/memory/program");
    let drawn = |estimate: &Value| own(estimate, "/phase_bytes/rollouts");
    let learnt = |estimate: &Value| own(estimate, "/phase_bytes/update");
    let narrow = of_verb(&folder, "tapo", &["rollout.decode_batch=5"]);
    assert!(drawn(&narrow) < drawn(&plain) && learnt(&narrow) < 1.05 * learnt(&plain), "a smaller cache");
    let small = of_verb(&folder, "tapo", &["update.micro_batch_size=4"]);
    assert!(learnt(&small) < learnt(&plain), "smaller micro-batches");
    let by_tokens = of_verb(&folder, "tapo", &["update.micro_batch_tokens=400"]);
    assert!(learnt(&by_tokens) < learnt(&plain), "micro-batches of few tokens");
    let beside = of_verb(&folder, "tapo", &["parity.contrast_gradient=true"]);
    assert!(learnt(&beside) > learnt(&plain), "a contrast that is learnt from stands beside");
    let recomputed = of_verb(&folder, "tapo", &["update.gradient_checkpointing=true"]);
    assert!(learnt(&recomputed) < learnt(&plain), "recomputation");
    let lora = of_verb(&folder, "grpo", &["finetuning_type=lora"]);
    assert_eq!(number(&lora, "/memory/reference"), 0.0, "the reference is the policy without its adapter");
    let short = of_verb(&folder, "tapo", &["rollout.max_new_tokens=16"]);
    assert!(drawn(&short) < drawn(&plain) && learnt(&short) < learnt(&plain), "shorter answers");
    let frozen = of_verb(&folder, "tapo", &["freeze_language_model=true"]);
    assert!(number(&frozen, "/memory/optimizer") < number(&plain, "/memory/optimizer"));
    assert!(!folder.at("run").exists(), "an estimate writes nothing");
}

/// As for fine-tuning: what the system has measured, against what was reckoned.
#[cfg(target_os = "linux")]
#[test]
fn the_reckoned_peak_of_reinforcement_learning_is_about_the_measured_one() {
    let folder = questions();
    for (verb, set) in [
        ("tapo", "update.micro_batch_size=16"),
        ("grpo", "update.micro_batch_size=4"),
        ("papo", "update.micro_batch_size=8"),
    ] {
        let estimate = of_verb(&folder, verb, &[set]);
        let reckoned = estimate["peak_bytes"].as_f64().expect("bytes");
        let (recipe, output) = (folder.arg("recipe.toml"), format!("output_dir={}", folder.arg(verb)));
        let run = [verb, "--recipe", &recipe, "--set", set, "--set", &output];
        let measured = crate::program::peak_bytes(run, 0) as f64;
        let share = reckoned / measured;
        println!(
            "{verb}: reckoned {:.1} MiB, measured {:.1} MiB",
            reckoned / 1048576.0,
            measured / 1048576.0
        );
        assert!((share - 1.0).abs() <= PEAK, "{verb}: {share:.3} of what was measured");
    }
}

#[test]
fn what_cannot_be_estimated_is_refused() {
    let folder = folder();
    let mut refusals = Refusals::default();
    refusals.expect("no recipe", ["estimate", "--recipe", &folder.arg("missing.toml")], &["missing.toml"]);
    refusals.expect("an unknown key", arguments(&folder, &["--set", "colour=red"]), &["colour"]);
    refusals.expect("all too long", arguments(&folder, &["--set", "cutoff_len=3"]), &["cutoff_len (3)"]);
    refusals.expect("no data set", arguments(&folder, &["--set", "dataset=others"]), &["others"]);
    let nowhere = ["--set", "model_name_or_path=nowhere"];
    refusals.expect("no checkpoint", arguments(&folder, &nowhere), &["nowhere"]);
    let target = ["--set", "finetuning_type=lora", "--set", "lora_target=q_porj"];
    refusals.expect("no layer to adapt", arguments(&folder, &target), &["q_porj"]);
    let recipe = folder.arg("recipe.toml");
    refusals.expect(
        "a recipe of another verb",
        ["estimate", "tapo", "--recipe", &recipe],
        &["no recipe for tapo", "`dataset`"],
    );
    folder.write("square.png", "no picture");
    refusals.expect("a broken picture", arguments(&folder, &[]), &["square.png", "rows.json:1 (row 1)"]);
    refusals.check();
}
