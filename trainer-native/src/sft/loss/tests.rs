//! The chunked loss against the plain one, and recomputation against none.

use super::*;
use crate::trunk::{Keep, Trunk};
use burn::module::Module;
use fine_r1_core::config::preset;
use fine_r1_core::image::{Grid, Patches};
use fine_r1_core::model::positions::Positions;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Sums in another order.
const ROUNDING: f32 = 2e-6;

fn model() -> (VisionLanguageModel, ModelConfig) {
    let mut config = preset("nano").expect("a preset").model;
    config.text.num_hidden_layers = 2;
    config.text.vocab_size = 96;
    config.vision.depth = 3;
    config.vision.fullatt_block_indexes = vec![1];
    config.tokens.image = 90;
    let device = crate::device::storage().expect("a processor").device;
    device.seed(7);
    (VisionLanguageModel::new(&config, &device.autodiff()), config)
}

/// A prompt with a picture of 4 merged squares, and one without that is shorter.
fn prompts(config: &ModelConfig) -> (Vec<Prompt>, Vec<Vec<bool>>) {
    let grid = Grid { t: 1, h: 4, w: 4 };
    let values = (0..16 * config.vision.patch_dim()).map(|index| (index as f32 * 0.37).sin()).collect();
    let ids = [vec![3, 90, 90, 90, 90, 5, 6, 7, 8], vec![9, 10, 11, 12, 13, 14]];
    let prompt = |ids: &[u32], images: Vec<Patches>| {
        let grids: Vec<Grid> = images.iter().map(|image| image.grid).collect();
        let positions = Positions::of_prompt(ids, 90, &grids, 2).expect("places for the picture");
        let images = images.into_iter().map(Arc::new).collect();
        Prompt { ids: ids.to_vec(), positions, images, ..Prompt::default() }
    };
    let prompts = vec![
        prompt(&ids[0], vec![Patches { grid, values, patch_dim: config.vision.patch_dim() }]),
        prompt(&ids[1], Vec::new()),
    ];
    let is_label = vec![(0..9).map(|token| token > 5).collect(), (0..6).map(|token| token > 1).collect()];
    (prompts, is_label)
}

/// What log-softmax over all tokens at once and one backward pass give.
fn plain(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    prompts: &[&Prompt],
    is_label: &[&[bool]],
    weight: f64,
) -> (f32, NamedGradients) {
    let loss = token_loss(model, config, prompts, is_label);
    let mut gradients = (loss.clone() * weight).backward();
    (loss.into_scalar::<f32>(), collect(model, &mut gradients))
}

fn in_chunks(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    prompts: &[&Prompt],
    labels: &Labels,
    weight: f64,
    keep: Keep,
    max_scores: usize,
) -> (f32, NamedGradients) {
    let trunk = Trunk::forward(model, config, prompts, None, keep);
    let loss = head_loss(model, &trunk.output(), labels, weight, max_scores);
    let mut gradients = trunk.backward(loss.gradient);
    accumulate(&mut gradients, loss.head);
    (loss.sum.expect("labels").into_scalar::<f32>(), gradients)
}

fn values(gradients: NamedGradients) -> BTreeMap<String, Vec<f32>> {
    let read = |gradient: Tensor<1>| gradient.into_data().iter::<f32>().collect::<Vec<_>>();
    gradients.into_iter().map(|(name, gradient)| (name, read(gradient))).collect()
}

fn assert_same(found: NamedGradients, expected: NamedGradients, why: &str) {
    let (found, expected) = (values(found), values(expected));
    let names = |values: &BTreeMap<String, Vec<f32>>| values.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "{why}");
    for (name, expected) in &expected {
        let largest = expected.iter().fold(1.0_f32, |largest, value| largest.max(value.abs()));
        assert!(expected.iter().any(|value| *value != 0.0), "{why}: {name} has a gradient");
        for (found, expected) in found[name].iter().zip(expected) {
            let difference = (found - expected).abs();
            assert!(difference <= ROUNDING * largest, "{why}: {name}: {found}, expected {expected}");
        }
    }
}

#[test]
fn chunks_and_recomputation_change_neither_loss_nor_gradients() {
    let (whole, config) = model();
    let (prompts, is_label) = prompts(&config);
    let prompts: Vec<&Prompt> = prompts.iter().collect();
    let is_label: Vec<&[bool]> = is_label.iter().map(Vec::as_slice).collect();
    let labels = Labels::new(&prompts, &is_label);
    assert_eq!(
        (labels.rows.as_slice(), labels.targets.as_slice()),
        ([5, 6, 7, 10, 11, 12, 13].as_slice(), [6, 7, 8, 11, 12, 13, 14].as_slice())
    );
    // Weights are drawn when first used; clones of weights that are not drawn yet freeze together.
    drop(plain(&whole, &config, &prompts, &is_label, 1.0));
    let freeze_vision = |mut model: VisionLanguageModel| {
        model.visual = model.visual.no_grad();
        model
    };
    let merger_alone = |mut model: VisionLanguageModel| {
        model.visual.blocks = model.visual.blocks.into_iter().map(Module::no_grad).collect();
        model.visual.patch_embed = model.visual.patch_embed.no_grad();
        model.model = model.model.no_grad();
        model
    };
    let last_block_alone = |mut model: VisionLanguageModel| {
        let last = model.model.layers.pop().expect("two blocks");
        model = model.no_grad();
        model.model.layers.push(last);
        model
    };
    for (why, model) in [
        ("everything", whole.clone()),
        ("frozen vision", freeze_vision(whole.clone())),
        ("merger alone", merger_alone(whole.clone())),
        ("last block alone", last_block_alone(whole)),
    ] {
        let (loss, expected) = plain(&model, &config, &prompts, &is_label, 0.3);
        assert!(!expected.is_empty(), "{why}");
        for keep in [Keep::Activations, Keep::BlockInputs] {
            // Whole, and 2 of 7 rows at a time.
            for max_scores in [MAX_SCORES, 2 * 96 + 1] {
                let why = format!("{why}, {keep:?}, {max_scores}");
                let (found, gradients) = in_chunks(&model, &config, &prompts, &labels, 0.3, keep, max_scores);
                assert!((found - loss).abs() <= ROUNDING * loss, "{why}: {found}, expected {loss}");
                assert_same(gradients, expected.clone(), &why);
            }
        }
        let alone = token_loss(&model.valid(), &config, &prompts, &is_label).into_scalar::<f32>();
        assert!((alone - loss).abs() <= ROUNDING * loss, "{why}: {alone}, expected {loss}");
    }
}

#[test]
fn without_labels_there_is_no_loss() {
    let (model, config) = model();
    let (prompts, _) = prompts(&config);
    let trunk_prompts: Vec<&Prompt> = prompts.iter().collect();
    let trunk = Trunk::forward(&model, &config, &trunk_prompts, None, Keep::BlockInputs);
    let loss = head_loss(&model, &trunk.output(), &Labels::default(), 1.0, MAX_SCORES);
    assert!(loss.sum.is_none() && loss.head.is_empty());
}

/// Peak memory of this process so far, in MiB.
#[cfg(target_os = "linux")]
fn peak_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system's word");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a high-water mark");
    line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).expect("KiB") / 1024.0
}

/// The peak only rises, so that what takes least comes first.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "needs a process of its own, whose peak memory it reads"]
fn chunks_and_recomputation_take_less_memory() {
    let mut config = preset("nano").expect("a preset").model;
    config.text.num_hidden_layers = 8;
    config.text.vocab_size = 32_768;
    config.tokens.image = 90;
    let model =
        VisionLanguageModel::new(&config, &crate::device::storage().expect("a processor").device.autodiff());
    let ids: Vec<u32> = (0..512).map(|index| 100 + index * 61 % 30_000).collect();
    let positions = Positions::of_prompt(&ids, 90, &[], 2).expect("text has positions");
    let prompt = Prompt { ids, positions, ..Prompt::default() };
    let (prompts, is_label) = ([&prompt, &prompt], [true; 512]);
    let is_label = [is_label.as_slice(), is_label.as_slice()];
    let labels = Labels::new(&prompts, &is_label);
    let run = |keep| in_chunks(&model, &config, &prompts, &labels, 1.0, keep, 1 << 21);
    // Weights and their gradients are there in all three.
    drop(Trunk::forward(&model, &config, &prompts, None, Keep::BlockInputs));
    let start = peak_mebibytes();
    let (loss, _) = run(Keep::BlockInputs);
    let recomputed = peak_mebibytes() - start;
    drop(run(Keep::Activations));
    let kept = peak_mebibytes() - start;
    let (plain_loss, _) = plain(&model, &config, &prompts, &is_label, 1.0);
    let whole = peak_mebibytes() - start;
    println!(
        "chunks and recomputation {recomputed:.0} MiB, chunks alone {kept:.0} MiB, neither {whole:.0} MiB above the start"
    );
    assert!((loss - plain_loss).abs() <= 1e-5 * plain_loss, "{loss}, {plain_loss}");
    assert!(recomputed < 0.7 * kept, "recomputation: {recomputed:.0} of {kept:.0} MiB");
    assert!(kept < 0.7 * whole, "chunks: {kept:.0} of {whole:.0} MiB");
}
