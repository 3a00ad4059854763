//! Random numbers that depend on the run's seed and on what they are for, and on nothing that happened
//! before: a run that was resumed draws what a run that was not draws.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What random numbers are for; each has numbers of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Masks and noise.
    Picture = 1,
    /// Answers.
    Rollout = 2,
    /// What adapters do not see of their inputs.
    Dropout = 3,
}

/// A generator for one purpose at one place of a run.
#[must_use]
pub fn generator(seed: u64, purpose: Purpose, place: &[u64]) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in std::iter::once(&(purpose as u64)).chain(place) {
        // Each number chooses a stream, and the stream's first draw the next seed.
        random.set_stream(*number);
        random = ChaCha8Rng::seed_from_u64(random.next_u64());
    }
    random
}

/// A seed for somebody else's generator.
#[must_use]
pub fn derived(seed: u64, purpose: Purpose, place: &[u64]) -> u64 {
    generator(seed, purpose, place).next_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_and_purpose_has_its_own_numbers() {
        let all = [
            derived(1, Purpose::Picture, &[0, 0]),
            derived(1, Purpose::Picture, &[0, 1]),
            derived(1, Purpose::Picture, &[1, 0]),
            derived(1, Purpose::Rollout, &[0, 0]),
            derived(2, Purpose::Picture, &[0, 0]),
            derived(1, Purpose::Picture, &[0]),
        ];
        for (index, left) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|right| right != left), "{all:?}");
        }
        assert_eq!(all[0], derived(1, Purpose::Picture, &[0, 0]));
    }
}
