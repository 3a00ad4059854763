//! Dynamic sampling: only questions that are neither solved nor hopeless teach anything.
//!
//! DAPO, section 3.2 of <https://arxiv.org/abs/2503.14476>; bounds and key as in
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/84cdc5c/TAPO/examples/tapo/tapo_3b.sh>.

use serde::{Deserialize, Serialize};

/// The `[filter]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterSettings {
    /// Whether groups are left out at all.
    pub enabled: bool,
    /// The component of the reward that is looked at; `overall` is their sum. With weights of 0.9 and 0.1
    /// a group of well-formed wrong answers has an overall mean of 0.1 and would pass.
    pub key: String,
    /// A group is kept where its mean is above this
    pub low: f64,
    /// and below this.
    pub high: f64,
    /// Rounds of new questions before a step makes do with what it has.
    pub max_tries: usize,
}

impl Default for FilterSettings {
    fn default() -> Self {
        Self { enabled: false, key: "accuracy".into(), low: 0.01, high: 0.99, max_tries: 20 }
    }
}

impl FilterSettings {
    /// Whether a group with these values of the key is kept.
    #[must_use]
    pub fn keeps(&self, values: &[f64]) -> bool {
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        !self.enabled || (self.low < mean && mean < self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bounds_are_strict_and_the_solved_and_the_hopeless_go() {
        let filter = FilterSettings { enabled: true, ..FilterSettings::default() };
        assert!(filter.keeps(&[1.0, 0.0, 0.0]) && filter.keeps(&[1.0, 1.0, 0.0]));
        assert!(!filter.keeps(&[0.0; 10]) && !filter.keeps(&[1.0; 10]) && !filter.keeps(&[0.01; 3]));
        assert!(FilterSettings::default().keeps(&[0.0; 10]));
    }
}
