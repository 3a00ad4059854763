//! In which order an epoch visits its samples.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Reverse;

/// So many steps' samples are sorted by length together: more waste less, fewer mix better.
/// <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/trainer_pt_utils.py#L574>
const STEPS_A_GROUP: usize = 50;

/// A shuffle that depends on the seed and the epoch alone, so that a run can go on in its middle.
#[must_use]
pub fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    shuffle(&mut order, &mut random_of(seed, epoch));
    order
}

/// The same, with samples of about equal length in every micro-batch, so that little is padding.
///
/// Shuffled samples are sorted by length some steps at a time and cut into micro-batches, which are
/// shuffled again: a step sees long and short ones. `lengths` are in tokens, `micro_batch` and
/// `batch`, the micro-batches of a step together, in samples.
#[must_use]
pub fn grouped_order(
    lengths: &[usize],
    seed: u64,
    epoch: u64,
    micro_batch: usize,
    batch: usize,
) -> Vec<usize> {
    let mut random = random_of(seed, epoch);
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    shuffle(&mut order, &mut random);
    let mut grouped = Vec::with_capacity(order.len());
    for group in order.chunks_mut(batch * STEPS_A_GROUP) {
        group.sort_by_key(|sample| Reverse(lengths[*sample]));
        // A micro-batch that is not full stays at the end, where it moves no other's borders.
        let (full, rest) = group.split_at(group.len() / micro_batch * micro_batch);
        let mut micro_batches: Vec<&[usize]> = full.chunks_exact(micro_batch).collect();
        shuffle(&mut micro_batches, &mut random);
        grouped.extend(micro_batches.into_iter().flatten().chain(rest));
    }
    grouped
}

/// A generator that depends on both numbers alone.
#[must_use]
pub fn random_of(seed: u64, epoch: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch);
    random
}

/// Fisher and Yates: every order is as likely as every other.
pub fn shuffle<Item>(items: &mut [Item], random: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_all_in_an_order_of_its_own() {
        let lengths: Vec<usize> = (0..100).map(|sample| sample * 7 % 31).collect();
        let orders: [&dyn Fn(u64, u64) -> Vec<usize>; 2] =
            [&|seed, epoch| epoch_order(100, seed, epoch), &|seed, epoch| {
                grouped_order(&lengths, seed, epoch, 4, 8)
            }];
        for order in orders {
            let first = order(7, 0);
            let mut sorted = first.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>());
            assert_eq!(first, order(7, 0));
            assert_ne!(first, order(7, 1));
            assert_ne!(first, order(8, 0));
        }
    }

    /// Tokens of all micro-batches, each as long as its longest sample.
    fn computed(order: &[usize], lengths: &[usize], micro_batch: usize) -> usize {
        let longest = |batch: &[usize]| batch.iter().map(|sample| lengths[*sample]).max().unwrap_or(0);
        order.chunks(micro_batch).map(|batch| batch.len() * longest(batch)).sum()
    }

    #[test]
    fn groups_of_equal_length_waste_little_and_still_mix() {
        // From 10 to 1009 tokens, 1003 of them, so that the last micro-batch is not full.
        let lengths: Vec<usize> = (0..1003).map(|sample| 10 + sample * 617 % 1000).collect();
        let tokens: usize = lengths.iter().sum();
        let share = |order: &[usize]| tokens as f64 / computed(order, &lengths, 8) as f64;
        let (plain, grouped) = (epoch_order(1003, 1, 0), grouped_order(&lengths, 1, 0, 8, 32));
        assert!(share(&plain) < 0.65, "{}", share(&plain));
        assert!(share(&grouped) > 0.95, "{}", share(&grouped));
        let means: Vec<usize> = grouped
            .chunks_exact(32)
            .map(|step| step.iter().map(|sample| lengths[*sample]).sum::<usize>() / 32)
            .collect();
        let is_middling = |mean: &&usize| (200..800).contains(*mean);
        assert!(means.iter().filter(is_middling).count() > means.len() * 8 / 10, "{means:?}");
    }
}
