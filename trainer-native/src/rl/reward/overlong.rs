//! A penalty that grows before an answer is cut off.
//!
//! DAPO, section 3.4 of <https://arxiv.org/abs/2503.14476>.

use super::{Answered, Opinion, Reward};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The `[reward.overlong]` table of a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OverlongSettings {
    /// Weight of the penalty; 0 leaves it out.
    pub weight: f64,
    /// Tokens before the limit over which the penalty grows from 0 to 1.
    pub buffer_tokens: usize,
}

/// From 0 for an answer of moderate length to -1 for one at the limit.
#[derive(Debug)]
pub struct Overlong {
    /// Most tokens of an answer.
    pub longest: usize,
    /// Tokens before the limit over which the penalty grows.
    pub buffer_tokens: usize,
}

impl Overlong {
    fn penalty(&self, tokens: usize) -> f64 {
        let free = self.longest.saturating_sub(self.buffer_tokens);
        if tokens <= free {
            return 0.0;
        }
        if tokens > self.longest || self.buffer_tokens == 0 {
            return -1.0;
        }
        -((tokens - free) as f64 / self.buffer_tokens as f64)
    }
}

impl Reward for Overlong {
    fn name(&self) -> &'static str {
        "overlong"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        Ok(answers.iter().map(|answer| self.penalty(answer.tokens).into()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_penalty_has_its_vectors() {
        let overlong = Overlong { longest: 20_480, buffer_tokens: 4096 };
        for (tokens, expected) in [(1, 0.0), (16_384, 0.0), (18_432, -0.5), (20_480, -1.0), (20_481, -1.0)] {
            assert_eq!(overlong.penalty(tokens), expected, "{tokens}");
        }
    }
}
