//! Several prompts in one sequence: each is read as if it were alone.

use burn::tensor::Tensor;
use fine_r1_core::model::Prompt;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::recognizer::Recognizer;
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase, load, prepare};

/// Sums over hidden keys add zeros, in another order than without them: as for the rows of a batch, which
/// transformers itself gives only within this of the rows alone.
const LOGITS: f32 = 2e-4;

/// Logits of a row of a batch, `[seq, vocab]` in one list.
fn logits(recognizer: &Recognizer, prompts: &[&Prompt]) -> Vec<Vec<f32>> {
    let (model, config) = (recognizer.model(), recognizer.processor().config());
    let states = model.read(model.embed(prompts, PaddingSide::Right, config), None, config);
    let [_, seq, hidden] = states.dims();
    prompts
        .iter()
        .enumerate()
        .map(|(row, prompt)| {
            let states: Tensor<2> = states.clone().narrow(0, row, 1).reshape([seq, hidden]);
            let logits = model.logits(states.narrow(0, 0, prompt.ids.len()));
            logits.into_data().iter::<f32>().collect()
        })
        .collect()
}

#[test]
fn packed_prompts_have_the_logits_that_they_have_alone() {
    let mut largest = Largest::new("logits of packed prompts", LOGITS);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let prompts: Vec<Prompt> = CASES
            .iter()
            .map(|case| prepare(&recognizer, &ModelCase::read(checkpoint, case).0.messages).prompt)
            .collect();
        let alone: Vec<Vec<f32>> = prompts.iter().flat_map(|prompt| logits(&recognizer, &[prompt])).collect();
        // Four in one sequence, two in another, which is padded; then packs packed again.
        let (first, second) = prompts.split_at(4);
        let packs = [first, second].map(|prompts| Prompt::pack(prompts.to_vec()));
        let whole = Prompt::pack(packs.clone());
        assert_eq!(whole.blocks, prompts.iter().map(|prompt| prompt.ids.len()).collect::<Vec<_>>());
        let [first, second] = &packs;
        let found = logits(&recognizer, &[first, second]).concat();
        largest.compare(&format!("{checkpoint}, two sequences"), &found, &alone.concat());
        let found = logits(&recognizer, &[&whole, &prompts[0]]).concat();
        let expected = [alone.concat(), alone[0].clone()].concat();
        largest.compare(&format!("{checkpoint}, one sequence"), &found, &expected);
    }
    largest.check();
}
