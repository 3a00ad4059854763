//! The largest difference between what was found and what was expected, over a whole test.

/// Collects differences and holds them against one limit.
#[derive(Debug)]
pub struct Largest {
    what: &'static str,
    limit: f32,
    found: f32,
    at: String,
}

impl Largest {
    /// Nothing compared yet.
    #[must_use]
    pub fn new(what: &'static str, limit: f32) -> Self {
        Self { what, limit, found: 0.0, at: "nowhere".into() }
    }

    /// Compares two lists; a number that is none counts as infinitely far.
    ///
    /// # Panics
    /// The lists have different lengths, or are empty.
    pub fn compare(&mut self, at: &str, found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len(), "{}: {at}: number of values", self.what);
        assert!(!found.is_empty(), "{}: {at}: nothing to compare", self.what);
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let difference = (found - expected).abs();
            let difference = if difference.is_nan() { f32::INFINITY } else { difference };
            if difference > self.found {
                self.found = difference;
                self.at = format!("{at}, value {index}: {found}, expected {expected}");
            }
        }
    }

    /// Says what the largest difference was, and holds it against the limit.
    ///
    /// # Panics
    /// It is over the limit.
    pub fn check(self) {
        println!(
            "{}: largest difference {:e}, limit {:e}, at {}",
            self.what, self.found, self.limit, self.at
        );
        assert!(
            self.found <= self.limit,
            "{}: difference {:e} is over the limit {:e} at {}",
            self.what,
            self.found,
            self.limit,
            self.at
        );
    }
}
