//! Several samples in one sequence, so that nothing is padding.
//!
//! Samples stay apart: each has the positions that it has alone and sees nothing of the others, as in
//! LlamaFactory's `neat_packing`
//! (<https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/processor/supervised.py>);
//! loss and gradients are those of the samples one by one.

use super::samples::Sample;
use fine_r1_core::model::Prompt;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Which samples go into one sequence of at most `capacity` tokens: the longest first, each where the
/// least room is left (best fit, decreasing). `lengths` are in tokens; each sample is in one sequence.
///
/// A sample that is longer than `capacity` has a sequence of its own.
#[must_use]
pub fn pack(lengths: &[usize], capacity: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|sample| Reverse(lengths[*sample]));
    let mut sequences: Vec<Vec<usize>> = Vec::new();
    // Room that is left, and the sequence that has it.
    let mut rooms: BTreeSet<(usize, usize)> = BTreeSet::new();
    for sample in order {
        let length = lengths[sample];
        let found = rooms.range((length, 0)..).next().copied();
        let (room, sequence) = match found {
            Some(place) => {
                rooms.remove(&place);
                place
            }
            None => {
                sequences.push(Vec::new());
                (capacity, sequences.len() - 1)
            }
        };
        sequences[sequence].push(sample);
        rooms.insert((room.saturating_sub(length), sequence));
    }
    sequences
}

/// Samples as one sequence. The first token of a sample is no label: nothing stands before it.
#[must_use]
pub fn join(samples: Vec<Sample>) -> Sample {
    let mut is_label = Vec::new();
    let mut prompts = Vec::with_capacity(samples.len());
    for sample in samples {
        let first = is_label.len();
        is_label.extend(sample.is_label);
        if let Some(label) = is_label.get_mut(first) {
            *label = false;
        }
        prompts.push(sample.prompt);
    }
    Sample { prompt: Prompt::pack(prompts), is_label }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{load_weights, read_files};
    use crate::dataset::{Conversation, ImageSource, split_content};
    use crate::device::{self, DeviceChoice, OpenDevice};
    use crate::optimizer::{NamedGradients, accumulate, collect};
    use crate::sft::labels::LabelRules;
    use crate::sft::samples::read_sample;
    use crate::sft::token_loss;
    use fine_r1_core::prompt::{Message, Role};
    use fine_r1_core::recognizer::Processor;
    use std::path::Path;

    #[test]
    fn every_sample_has_its_place_and_no_sequence_is_too_long() {
        let lengths: Vec<usize> = (0..500).map(|sample| 1 + sample * 37 % 97).collect();
        let sequences = pack(&lengths, 100);
        let mut samples: Vec<usize> = sequences.concat();
        samples.sort_unstable();
        assert_eq!(samples, (0..500).collect::<Vec<_>>());
        let filled = |sequence: &Vec<usize>| sequence.iter().map(|sample| lengths[*sample]).sum::<usize>();
        assert!(sequences.iter().all(|sequence| filled(sequence) <= 100));
        let fewest = lengths.iter().sum::<usize>().div_ceil(100);
        assert!(sequences.len() <= fewest + fewest / 50, "{} sequences, {fewest} at best", sequences.len());
        assert_eq!(pack(&[7, 3, 4], 7), [vec![0], vec![2, 1]]);
        assert_eq!(pack(&[9], 7), [vec![0]]);
        assert!(pack(&[], 7).is_empty());
    }

    #[test]
    fn joined_samples_keep_their_positions_and_lose_their_first_label() {
        let sample = |ids: &[u32]| {
            let mut prompt = Prompt { ids: ids.to_vec(), ..Prompt::default() };
            prompt.positions.push_text(ids.len());
            Sample { prompt, is_label: vec![true; ids.len()] }
        };
        let joined = join(vec![sample(&[1, 2, 3]), sample(&[4, 5])]);
        assert_eq!(joined.prompt.ids, [1, 2, 3, 4, 5]);
        assert_eq!(joined.prompt.blocks, [3, 2]);
        assert_eq!(joined.prompt.positions.axes[2], [0, 1, 2, 0, 1]);
        assert_eq!(joined.is_label, [false, true, true, false, true]);
    }

    /// What sums in another order may do to a gradient, as a share of the largest one of its tensor.
    const GRADIENT: f32 = 1e-4;

    /// Packed samples teach what the same samples teach one by one: same loss, same gradients, in the
    /// vision tower too.
    #[test]
    fn packed_samples_have_the_loss_and_the_gradients_that_they_have_alone() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
        for checkpoint in ["qwen2_5_vl-untied", "qwen2_5_vl-tied-bf16", "qwen2_vl"] {
            let folder = golden.join("checkpoints").join(checkpoint);
            let processor = Processor::new(&read_files(&folder).expect("files")).expect("a processor");
            let device = device::open(DeviceChoice::Flex).expect("the processor");
            let training = OpenDevice { device: device.device.clone().autodiff(), ..device };
            let model = load_weights(&folder, processor.config(), &training).expect("weights");
            let samples: Vec<Sample> = [
                ("<image>What is it?", "<think>Seen.</think><answer>A dot</answer>", vec!["tiny.png"]),
                ("Why?", "Because", vec![]),
                ("<image>or<image>How do they differ?", "In colour.", vec!["rgb.png", "grey.png"]),
            ]
            .into_iter()
            .map(|(question, answer, images)| {
                let row = Conversation {
                    source: "a test".into(),
                    messages: vec![
                        Message { role: Role::User, content: split_content(question) },
                        Message::text(Role::Assistant, answer),
                    ],
                    images: images
                        .into_iter()
                        .map(|image| ImageSource::File(golden.join("images").join(image)))
                        .collect(),
                    confounder: None,
                };
                read_sample(&processor, LabelRules::default(), &row, &mut None).expect("a sound row")
            })
            .collect();
            let learn = |samples: &[Sample]| {
                let prompts: Vec<&Prompt> = samples.iter().map(|sample| &sample.prompt).collect();
                let is_label: Vec<&[bool]> =
                    samples.iter().map(|sample| sample.is_label.as_slice()).collect();
                let loss = token_loss(&model, processor.config(), &prompts, &is_label);
                let gradients = collect(&model, &mut loss.backward());
                (loss.into_scalar::<f32>(), gradients)
            };
            let (mut loss, mut gradients) = (0.0, NamedGradients::new());
            for sample in &samples {
                let (more, found) = learn(std::slice::from_ref(sample));
                loss += more;
                accumulate(&mut gradients, found);
            }
            let (packed_loss, packed) = learn(&[join(samples)]);
            assert!((packed_loss / loss - 1.0).abs() < 1e-5, "{checkpoint}: {packed_loss}, alone {loss}");
            assert_eq!(packed.len(), gradients.len(), "{checkpoint}");
            assert!(packed.keys().any(|name| name.starts_with("visual.")), "{checkpoint}");
            for (name, expected) in gradients {
                let largest: f32 = expected.clone().abs().max().into_scalar();
                let difference: f32 = (packed[&name].clone() - expected).abs().max().into_scalar();
                assert!(
                    difference <= GRADIENT * largest + 1e-7,
                    "{checkpoint}: {name}: {difference} of {largest}"
                );
            }
        }
    }
}
