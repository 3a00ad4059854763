//! In which order an epoch visits its samples.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A shuffle that depends on the seed and the epoch alone, so that a run can go on in its middle.
#[must_use]
pub fn epoch_order(count: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch);
    let mut order: Vec<usize> = (0..count).collect();
    // Fisher and Yates.
    for last in (1..count).rev() {
        order.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_visits_all_in_an_order_of_its_own() {
        let first = epoch_order(100, 7, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!(first, epoch_order(100, 7, 0));
        assert_ne!(first, epoch_order(100, 7, 1));
        assert_ne!(first, epoch_order(100, 8, 0));
    }
}
