//! The language model: every stage, logits, and log-probabilities.

use burn::tensor::{DType, Int, Tensor};
use fine_r1_core::model::language::{Context, rotary};
use fine_r1_core::model::mask;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase, load, prepare};

/// Sums of some dozens of products in another order than torch's, over states of up to about ten.
const STAGES: f32 = 2e-4;
/// The head sums once more, over weights that make logits of up to some dozens.
const LOGITS: f32 = 5e-4;
/// Two logits' errors and the logarithm of a sum.
const LOG_PROBS: f32 = 2e-4;

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert_dtype(DType::F32).as_slice::<f32>().expect("numbers").to_vec()
}

#[test]
fn every_stage_of_the_decoder_is_that_of_transformers() {
    let mut largest = Largest::new("language stages", STAGES);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (case, tensors) = ModelCase::read(checkpoint, "one-image");
        let prompt = prepare(&recognizer, &case.messages).prompt;
        let (model, config) = (recognizer.model(), recognizer.processor().config());
        let embedded = model.embed(&[&prompt], PaddingSide::Right, config);
        let [_, seq, _] = embedded.states.dims();
        let device = model.device();
        let context = Context {
            rotary: rotary(&config.text, &embedded.positions, &device),
            mask: mask::causal(seq, seq, &embedded.starts, &device),
        };
        let mut stage = |name: &str, found: Tensor<3>| {
            let expected = tensors.floats(&format!("stage.language.{name}"));
            assert_eq!(found.dims()[1..], expected.shape, "{checkpoint} {name}");
            largest.compare(&format!("{checkpoint} {name}"), &floats(found), &expected.values);
        };
        let mut states = embedded.states;
        for (index, layer) in model.model.layers.iter().enumerate() {
            states = layer.forward(states, &context, None);
            stage(&format!("layers.{index}"), states.clone());
        }
        stage("norm", model.model.norm.forward(states));
    }
    largest.check();
}

#[test]
fn logits_are_those_of_transformers() {
    let mut largest = Largest::new("logits", LOGITS);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (model, config) = (recognizer.model(), recognizer.processor().config());
        for case in CASES {
            let (expected, tensors) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let states = model.read(model.embed(&[&prompt], PaddingSide::Right, config), None, config);
            let [_, seq, hidden] = states.dims();
            let rows: Vec<i32> = expected.logit_positions.iter().map(|position| *position as i32).collect();
            let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &model.device());
            let found = model.logits(states.reshape([seq, hidden]).select(0, rows));
            let expected = tensors.floats("logits");
            assert_eq!(found.dims().as_slice(), expected.shape, "{checkpoint} {case}");
            largest.compare(&format!("{checkpoint} {case}"), &floats(found), &expected.values);
        }
    }
    largest.check();
}

#[test]
fn a_continuation_scores_as_in_transformers() {
    let mut largest = Largest::new("log-probabilities", LOG_PROBS);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in CASES {
            let (expected, tensors) = ModelCase::read(checkpoint, case);
            let prepared = prepare(&recognizer, &expected.messages);
            let score =
                pollster::block_on(recognizer.score(&prepared, &expected.continuation)).expect("a score");
            assert_eq!(score.token_ids, expected.continuation_token_ids, "{checkpoint} {case}");
            let at = format!("{checkpoint} {case}");
            largest.compare(&at, &score.log_probs, &expected.continuation_log_probs);
            largest.compare(&at, &score.log_probs, &tensors.floats("continuation_log_probs").values);
        }
    }
    largest.check();
}
