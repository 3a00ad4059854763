//! Training an adapter, step by step as torch and PEFT do it.

use super::{attach, drop_out};
use crate::checkpoint::{load_weights, read_files};
use crate::device::storage;
use crate::optimizer::{AdamW, AdamWConfig, MatrixRule, clip, collect};
use crate::sft::token_loss;
use burn::module::Module;
use fine_r1_core::image::{DecodeLimits, decode};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::prompt::{images, messages_from_value};
use fine_r1_core::recognizer::Processor;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Losses of about ten after up to four steps of AdamW; what was asked for.
const LOSSES: f64 = 1e-4;

fn golden(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(path)
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(golden(path)).expect("a golden file")).expect("JSON")
}

struct Task {
    processor: Processor,
    model: VisionLanguageModel,
    prompt: Prompt,
    is_label: Vec<bool>,
}

/// The golden prompt with its continuation, which is what is learnt.
fn task(record: &Value) -> Task {
    let text = |key: &str| record[key].as_str().expect("a text");
    let folder = golden("checkpoints").join(text("checkpoint"));
    let processor = Processor::new(&read_files(&folder).expect("files")).expect("a checkpoint");
    let mut device = storage().expect("a processor");
    device.device = device.device.autodiff();
    let model = load_weights(&folder, processor.config(), &device).expect("weights").no_grad();
    let model = attach(model, &golden("adapters").join(text("name"))).expect("an adapter").0;
    let case = json(&format!("cases/{}/{}.json", text("checkpoint"), text("case")));
    let messages = messages_from_value(&case["messages"]).expect("messages");
    let photos: Vec<_> = images(&messages)
        .map(|name| fs::read(golden("images").join(name)).expect("a picture"))
        .map(|bytes| decode(&bytes, &DecodeLimits::default()).expect("a picture"))
        .collect();
    let mut prompt = processor.prepare(&messages, &photos).expect("a prompt").prompt;
    let labels: Vec<u32> = serde_json::from_value(case["continuation_token_ids"].clone()).expect("token ids");
    let mut is_label = vec![false; prompt.ids.len()];
    is_label.resize(prompt.ids.len() + labels.len(), true);
    prompt.positions.push_text(labels.len());
    prompt.ids.extend(labels);
    Task { processor, model, prompt, is_label }
}

fn train_whole(mut model: VisionLanguageModel, name: &str) -> VisionLanguageModel {
    if name == "rslora" {
        model = super::whole::freeze_rest(model, &["lm_head".to_owned()]).expect("a head");
    }
    model
}

#[test]
fn losses_are_those_of_torch_and_peft() {
    let file = json("cases/adapters.json");
    let constant = |key: &str| file["training"][key].as_f64().expect("a number");
    for record in file["adapters"].as_array().expect("a list") {
        let name = record["name"].as_str().expect("a text");
        let Task { processor, model, prompt, is_label } = task(record);
        let mut model = train_whole(model, name);
        let mut optimizer = AdamW::new(AdamWConfig {
            matrices: MatrixRule::Adamw,
            beta_1: constant("beta_1") as f32,
            beta_2: constant("beta_2") as f32,
            epsilon: constant("epsilon") as f32,
            weight_decay: constant("weight_decay") as f32,
            average_decay: 0.0,
        });
        for (step, expected) in record["losses"].as_array().expect("a list").iter().enumerate() {
            let count = is_label.iter().filter(|label| **label).count();
            let loss = token_loss(&model, processor.config(), &[&prompt], &[&is_label]) / count as f64;
            let mut gradients = loss.backward();
            let mut gradients = collect(&model, &mut gradients);
            clip(&mut gradients, constant("max_grad_norm"));
            model = optimizer.update(model, gradients, constant("learning_rate"));
            let found = f64::from(loss.into_scalar::<f32>());
            let expected = expected.as_f64().expect("a number");
            println!("{name} step {step}: {found}, expected {expected}");
            assert!((found - expected).abs() < LOSSES, "{name} step {step}: {found}, expected {expected}");
        }
    }
}

#[test]
fn a_pass_drops_the_same_inputs_whenever_it_is_made() {
    let file = json("cases/adapters.json");
    let Task { processor, model, prompt, is_label } = task(&file["adapters"][0]);
    let loss = |pass: u64, share: f64| {
        let model = drop_out(model.clone(), share, 3, pass);
        token_loss(&model, processor.config(), &[&prompt], &[&is_label]).into_scalar::<f32>()
    };
    assert_eq!(loss(5, 0.5), loss(5, 0.5));
    assert_ne!(loss(5, 0.5), loss(6, 0.5));
    assert_eq!(loss(5, 0.0), loss(6, 0.0));
}
