//! What can be had without looking.

use super::Row;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Share of rows whose first shuffled option is the true one.
#[must_use]
pub fn always_first(rows: &[Row], seed: u64) -> f64 {
    let hits = rows
        .iter()
        .enumerate()
        .filter(|(number, row)| row.shuffled(seed, *number).first().is_some_and(|first| row.is_exact(first)));
    hits.count() as f64 / rows.len().max(1) as f64
}

/// Share of rows that a seeded guess among the options hits.
#[must_use]
pub fn random_choice(rows: &[Row], seed: u64) -> f64 {
    let hits = rows.iter().enumerate().filter(|(number, row)| {
        // Another seed than the shuffle's, and a stream for every row.
        let mut random = ChaCha8Rng::seed_from_u64(!seed);
        random.set_stream(*number as u64);
        let guess = random.next_u64() as usize % row.options.len().max(1);
        row.options.get(guess).is_some_and(|name| row.is_exact(name))
    });
    hits.count() as f64 / rows.len().max(1) as f64
}
