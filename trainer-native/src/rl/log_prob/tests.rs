//! The gradient in parts against autograd's in one piece, and pictures that are looked at once against pictures
//! that are looked at once for every answer.

use super::*;
use crate::checkpoint::{load_weights, read_files};
use crate::dataset::split_content;
use crate::device;
use crate::trainee::Frozen;
use crate::workers::Workers;
use burn::module::Module;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::prompt::{Message, Role};
use fine_r1_core::recognizer::Processor;
use image::{Rgb, RgbImage};
use std::path::Path;
use std::sync::Arc;

/// The chain rule, cut into parts, gives what autograd gives in one piece; sums have another order.
const OTHER_ORDER: f32 = 1e-5;
/// What several answers say about a picture is added up before the vision tower or behind it: as a share of the
/// largest gradient of its tensor, or of a thousandth of the largest of all where a tensor's own is next to
/// nothing. Sums in another order differ by some 1e-5 in the tower; an answer that is left out by a tenth.
const ONE_LOOK: f32 = 1e-4;

fn open() -> (Processor, VisionLanguageModel) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/checkpoints/qwen2_5_vl-untied");
    let processor = Processor::new(&read_files(&folder).expect("files")).expect("a processor");
    let mut recording = device::storage().expect("a processor");
    recording.device = recording.device.autodiff();
    recording.precision = Some(fine_r1_core::weights::Precision::F32);
    let model = load_weights(&folder, processor.config(), &recording).expect("weights");
    (processor, model)
}

/// A question about a picture of its own.
fn question(processor: &Processor, text: &str, width: u32) -> Prompt {
    let picture = RgbImage::from_fn(width, 56, |x, y| {
        Rgb([(x * 31 + width) as u8, (y * 17 + x) as u8, (x * y + width) as u8])
    });
    let messages = [Message { role: Role::User, content: split_content(&format!("<image>{text}")) }];
    processor.prepare(&messages, &[picture]).expect("a prompt").prompt
}

fn encoded(processor: &Processor, answers: &[&str]) -> Vec<Vec<u32>> {
    answers.iter().map(|text| processor.tokenizer().encode(text).expect("tokens")).collect()
}

/// Made-up derivatives by every token's scores.
fn gradients(answers: &[Vec<u32>]) -> TokenGradients {
    let weights = |scale: f32| -> PerToken {
        answers.iter().map(|ids| ids.iter().map(|id| scale * ((id % 7) as f32 - 3.0)).collect()).collect()
    };
    TokenGradients { log_prob: weights(0.1), entropy: weights(0.05) }
}

fn scorer<'model>(model: &'model VisionLanguageModel, config: &'model ModelConfig) -> Scorer<'model> {
    Scorer {
        model,
        config,
        features: None,
        temperature: 0.8,
        with_entropy: true,
        chunk_rows: 3,
        keep: Keep::Activations,
    }
}

fn largest(gradient: &Tensor<1>) -> f32 {
    gradient.clone().abs().max().into_scalar()
}

fn assert_same(found: &NamedGradients, expected: &NamedGradients) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let of_all = expected.values().map(largest).fold(0.0, f32::max);
    for (name, expected) in expected {
        let apart = largest(&(found[name].clone() - expected.clone()));
        let scale = largest(expected).max(1e-3 * of_all);
        assert!(apart <= ONE_LOOK * scale, "{name}: {apart} of {scale}");
    }
}

#[test]
fn the_gradient_in_parts_is_the_gradient_with_and_without_recomputation() {
    let (processor, model) = open();
    let prompts = [("Which one?", 84), ("What is this airliner, and why?", 56)]
        .map(|(text, width)| question(&processor, text, width));
    let answers = encoded(&processor, &["A320, with two engines.", "E-190"]);
    let scored: Vec<Scored<'_>> =
        prompts.iter().zip(&answers).map(|(prompt, answer)| Scored { prompt, answer }).collect();
    let gradients = gradients(&answers);
    let scorer = scorer(&model, processor.config());
    let pass = scorer.read(&scored);

    let wholes = [scored[0].whole(), scored[1].whole()];
    let wholes: Vec<&Prompt> = wholes.iter().collect();
    let states =
        model.read(model.embed(&wholes, PaddingSide::Right, processor.config()), None, processor.config());
    let [batch, seq, hidden] = states.dims();
    let rows = Tensor::from_data(pass.rows.to_data(), &model.device());
    let states = states.reshape([batch * seq, hidden]).select(0, rows);
    let (log_prob, entropy) = scorer.head(states, &pass.targets);
    let entropy = entropy.expect("asked for");
    let read = |tensor: &Tensor<1>| tensor.to_data().iter::<f32>().collect::<Vec<f32>>();
    let expected_scores = [read(&log_prob), read(&entropy)];
    let weight = |rows: &PerToken| Tensor::<1>::from_floats(rows.concat().as_slice(), &model.device());
    let loss = (log_prob * weight(&gradients.log_prob)).sum() + (entropy * weight(&gradients.entropy)).sum();
    let expected = collect(&model, &mut loss.backward());
    for keep in [Keep::Activations, Keep::BlockInputs] {
        let pass = Scorer { keep, ..scorer }.read(&scored);
        let scores = pass.scores(&model.valid());
        for (found, expected) in [&scores.log_prob, &scores.entropy].into_iter().zip(&expected_scores) {
            for (found, expected) in found.concat().iter().zip(expected) {
                assert!((found - expected).abs() < OTHER_ORDER, "{keep:?}: {found}, expected {expected}");
            }
        }
        let found = pass.backward(&gradients);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{keep:?}");
        for (name, expected) in &expected {
            let scale = largest(expected).max(1.0);
            let apart = largest(&(found[name].clone() - expected.clone()));
            assert!(apart <= OTHER_ORDER * scale, "{keep:?}: {name}: {apart} of {scale}");
        }
    }
}

#[test]
fn a_picture_that_answers_share_gives_the_gradient_of_one_for_every_answer() {
    let (processor, whole) = open();
    let config = processor.config();
    let shared =
        [("Which one?", 84), ("And this?", 56)].map(|(text, width)| question(&processor, text, width));
    let answers = encoded(
        &processor,
        &["A320, with two engines.", "E-190", "A380: four engines.", "It is a dot", "No"],
    );
    // Three answers to one question and two to the other, each with a copy of the picture.
    let own: Vec<Prompt> = [0, 0, 0, 1, 1]
        .map(|question: usize| {
            let mut prompt = shared[question].clone();
            prompt.images = prompt.images.iter().map(|image| Arc::new(image.as_ref().clone())).collect();
            prompt
        })
        .into();
    let together: Vec<Prompt> = [0, 0, 0, 1, 1].map(|question: usize| shared[question].clone()).into();
    let gradients = gradients(&answers);
    let workers = Workers::new(1).expect("a thread");
    for (why, vision_tower, merger) in
        [("everything", false, false), ("merger alone", true, false), ("frozen", true, true)]
    {
        let frozen = Frozen { vision_tower, merger, language_model: false };
        let model = frozen.freeze(whole.clone());
        let learn = |prompts: &[Prompt], features: Option<&Features>, keep: Keep| {
            let scored: Vec<Scored<'_>> =
                prompts.iter().zip(&answers).map(|(prompt, answer)| Scored { prompt, answer }).collect();
            let pass = Scorer { features, keep, ..scorer(&model, config) }.read(&scored);
            (pass.scores(&model.valid()), pass.backward(&gradients))
        };
        let (scores, expected) = learn(&own, None, Keep::Activations);
        assert_eq!(expected.keys().any(|name| name.starts_with("visual.")), !merger, "{why}");
        let prompts: Vec<&Prompt> = together.iter().collect();
        let known = Features::look(&model.valid(), config, &prompts, 1, &workers).expect("features");
        let known = merger.then_some(&known);
        let mut passes = Vec::new();
        for keep in [Keep::Activations, Keep::BlockInputs] {
            passes.push(learn(&together, None, keep));
            passes.extend(known.map(|known| learn(&together, Some(known), keep)));
        }
        for (found_scores, found) in passes {
            for (found, expected) in found_scores.log_prob.concat().iter().zip(scores.log_prob.concat()) {
                let scale = expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() < OTHER_ORDER * scale,
                    "{why}: {found}, expected {expected}"
                );
            }
            assert_same(&found, &expected);
        }
    }
}
