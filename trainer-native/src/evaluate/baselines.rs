//! What can be had without looking.

use super::Row;
use super::settings::draw;

/// For every row, whether its first shown option is the true one; shown shuffled by a seed, or as the
/// file has them.
#[must_use]
pub fn always_first(rows: &[Row], seed: Option<u64>) -> Vec<f64> {
    let first = |number: usize, row: &Row| match seed {
        Some(seed) => row.shuffled(seed, number).first().cloned(),
        None => row.options.first().cloned(),
    };
    hits(rows, first)
}

/// For every row, whether a seeded guess among the options hits.
#[must_use]
pub fn random_choice(rows: &[Row], seed: u64) -> Vec<f64> {
    hits(rows, |number, row| {
        let guess = draw(seed, number) as usize % row.options.len().max(1);
        row.options.get(guess).cloned()
    })
}

fn hits(rows: &[Row], answer: impl Fn(usize, &Row) -> Option<String>) -> Vec<f64> {
    let hit = |(number, row): (usize, &Row)| answer(number, row).is_some_and(|name| row.is_exact(&name));
    rows.iter().enumerate().map(|row| f64::from(u8::from(hit(row)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::rows::tests::row;

    /// The released files name the true class first in every row.
    #[test]
    fn always_first_is_always_right_in_released_order_and_a_guess_when_shuffled() {
        let rows = vec![row(); 4000];
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        assert_eq!(mean(always_first(&rows, None)), 1.0);
        // Four standard deviations of a share of a quarter.
        for found in [mean(always_first(&rows, Some(3))), mean(random_choice(&rows, 3))] {
            assert!((found - 0.25).abs() < 4.0 * (0.25_f64 * 0.75 / 4000.0).sqrt(), "{found}");
        }
        assert_eq!(always_first(&rows, Some(3)), always_first(&rows, Some(3)));
        assert_ne!(always_first(&rows, Some(3)), always_first(&rows, Some(4)));
    }
}
