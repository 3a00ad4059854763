//! Several prompts at once: padding, on either side, changes nothing.

use crate::decoding::{decode, ids};
use burn::tensor::{DType, Int, Tensor};
use fine_r1_core::generate::SamplingOptions;
use fine_r1_core::model::Prompt;
use fine_r1_core::model::vlm::{Embedded, PaddingSide};
use fine_r1_core::recognizer::Recognizer;
use fine_r1_tests::{BatchCase, CHECKPOINTS, Largest, ModelCase, PaddedBatch, load, prepare};

/// Sums in another order than torch's; the reference's own rows are within 2e-4 of the same alone.
const LOGITS: f32 = 2e-4;

fn prompts(recognizer: &Recognizer, batch: &BatchCase) -> Vec<Prompt> {
    let prompts = batch.rows.iter().map(|row| {
        let (case, _) = ModelCase::read(&batch.checkpoint, &row.case);
        let prepared = prepare(recognizer, &case.messages);
        assert_eq!(prepared.text, row.prompt, "{} {}", batch.checkpoint, row.case);
        prepared.prompt
    });
    prompts.collect()
}

/// Places, positions and padding are those of the reference; ids of padding are not compared, since
/// nobody sees them.
fn check_layout(
    at: &str,
    embedded: &Embedded,
    side: PaddingSide,
    expected: &PaddedBatch,
    prompts: &[Prompt],
) {
    for (row, (found, prompt)) in embedded.positions.iter().zip(prompts).enumerate() {
        let mask = &expected.attention_mask[row];
        let count = mask.iter().filter(|seen| **seen == 1).count();
        assert_eq!(count, prompt.ids.len(), "{at} row {row}");
        let start = mask.iter().position(|seen| *seen == 1).expect("a token");
        let place = start..start + count;
        assert_eq!(expected.input_ids[row][place.clone()], prompt.ids, "{at} row {row}");
        assert_eq!(expected.last[row], place.end - 1, "{at} row {row}");
        let padding = if side == PaddingSide::Left { start } else { 0 };
        assert_eq!(embedded.starts[row], padding, "{at} row {row}");
        for (axis, found) in found.axes.iter().enumerate() {
            let expected = &expected.position_ids[axis][row];
            assert_eq!(found.len(), expected.len(), "{at} row {row} axis {axis}");
            assert_eq!(found[place.clone()], expected[place.clone()], "{at} row {row} axis {axis}");
        }
    }
}

#[test]
fn a_padded_batch_has_the_logits_of_transformers() {
    let mut largest = Largest::new("logits of a batch", LOGITS);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (model, config) = (recognizer.model(), recognizer.processor().config());
        let (batch, tensors) = BatchCase::read(checkpoint);
        let prompts = prompts(&recognizer, &batch);
        let borrowed: Vec<&Prompt> = prompts.iter().collect();
        let grids: Vec<[usize; 3]> = prompts
            .iter()
            .flat_map(|prompt| prompt.images.iter().map(|image| [image.grid.t, image.grid.h, image.grid.w]))
            .collect();
        assert_eq!(grids, batch.image_grid_thw, "{checkpoint}");
        for (name, side, expected) in
            [("left", PaddingSide::Left, &batch.left), ("right", PaddingSide::Right, &batch.right)]
        {
            let at = format!("{checkpoint} {name}");
            let embedded = model.embed(&borrowed, side, config);
            check_layout(&at, &embedded, side, expected, &prompts);
            let states = model.read(embedded, None, config);
            let [rows, seq, hidden] = states.dims();
            let last: Vec<i32> =
                expected.last.iter().enumerate().map(|(row, place)| (row * seq + place) as i32).collect();
            let last = Tensor::<1, Int>::from_ints(last.as_slice(), &model.device());
            let found = model.logits(states.reshape([rows * seq, hidden]).select(0, last));
            let expected = tensors.floats(&format!("{name}.logits"));
            assert_eq!(found.dims().as_slice(), expected.shape, "{at}");
            let found = found.into_data().convert_dtype(DType::F32);
            largest.compare(&at, found.as_slice().expect("numbers"), &expected.values);
        }
    }
    largest.check();
}

#[test]
fn a_batch_answers_as_its_prompts_do_alone() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (batch, _) = BatchCase::read(checkpoint);
        let prompts = prompts(&recognizer, &batch);
        let borrowed: Vec<&Prompt> = prompts.iter().collect();
        let count = batch.greedy_ids[0].len();
        let together = decode(&recognizer, &borrowed, SamplingOptions::default(), 1, count);
        let twice = decode(&recognizer, &borrowed, SamplingOptions::default(), 2, count);
        for (row, prompt) in prompts.iter().enumerate() {
            let at = format!("{checkpoint} row {row}");
            assert_eq!(ids(&together[row]), batch.greedy_ids[row], "{at}: in the batch");
            let alone = decode(&recognizer, &[prompt], SamplingOptions::default(), 1, count);
            assert_eq!(ids(&alone[0]), batch.greedy_ids[row], "{at}: alone");
            for answer in 0..2 {
                assert_eq!(
                    ids(&twice[2 * row + answer]),
                    batch.greedy_ids[row],
                    "{at}: answer {answer} of two"
                );
            }
        }
    }
}
