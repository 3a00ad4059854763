//! Arithmetic in the 16-bit precisions that GPUs use.

use burn::tensor::DType;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::weights::Precision;
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase, golden, load_folder, prepare};

/// Relative to logits of up to about 20, 16 mantissa bits less than f32 in every sum of every layer.
const BF16_LOGITS: f32 = 1.5;
/// Three bits more than bf16.
const F16_LOGITS: f32 = 0.2;

fn logits_in(precision: Precision, what: &'static str, limit: f32) {
    let mut largest = Largest::new(what, limit);
    for checkpoint in CHECKPOINTS {
        let recognizer = load_folder(&golden("checkpoints").join(checkpoint), Some(precision));
        let (model, config) = (recognizer.model(), recognizer.processor().config());
        assert_eq!(model.dtype(), precision.dtype(), "{checkpoint}");
        for case in CASES {
            let (expected, tensors) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let states = model.read(model.embed(&[&prompt], PaddingSide::Right, config), None, config);
            let [_, seq, hidden] = states.dims();
            let found = model.logits(states.narrow(1, seq - 1, 1).reshape([1, hidden])).into_data();
            assert_eq!(found.dtype(), DType::F32, "{checkpoint} {case}: logits are f32 in every precision");
            let expected = tensors.floats("logits");
            let last = &expected.values[expected.values.len() - expected.shape[1]..];
            largest.compare(&format!("{checkpoint} {case}"), found.as_slice().expect("f32"), last);
        }
    }
    largest.check();
}

#[test]
fn logits_in_bf16_are_near_those_in_f32() {
    logits_in(Precision::Bf16, "logits in bf16", BF16_LOGITS);
}

#[test]
fn logits_in_f16_are_near_those_in_f32() {
    logits_in(Precision::F16, "logits in f16", F16_LOGITS);
}
