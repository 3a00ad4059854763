//! Whether an answer has the form that was asked for:
//! `<think> … </think><answer> … </answer>` and nothing beside it.

use super::{Answered, Opinion, Reward};
use anyhow::Result;
use fine_r1_core::reasoning::matches_format;

/// 1 for an answer in the form, 0 for any other.
#[derive(Debug)]
pub struct Format;

impl Reward for Format {
    fn name(&self) -> &'static str {
        "format"
    }

    fn judge(&mut self, answers: &[Answered<'_>]) -> Result<Vec<Opinion>> {
        Ok(answers.iter().map(|answer| f64::from(u8::from(matches_format(answer.text))).into()).collect())
    }
}
