//! A step while it is learnt from: where it stands, what its passes share, and what is known of its answers.

use super::features::Features;
use super::gather::{Answer, Group};
use super::log_prob::{Scored, TokenScores};
use super::views::Picture;
use crate::optimizer::Rates;

/// Where a step stands in its run.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Number of the step, from 0.
    pub step: usize,
    /// Steps of the run.
    pub total: usize,
    /// Learning rates.
    pub rates: Rates,
    /// Weight of the distance to the reference.
    pub kl_coefficient: f64,
}

/// What all passes of a step share.
#[derive(Debug)]
pub struct Step {
    /// Where it stands.
    pub moment: Moment,
    /// What answers are held against.
    pub contrasts: Vec<Contrast>,
    /// Of all pictures, where nothing that makes them is trained; the reference's are the same then.
    pub features: Option<Features>,
}

/// A contrast that is computed in this step.
#[derive(Debug, Clone, Copy)]
pub struct Contrast {
    /// What is looked at.
    pub picture: Picture,
    /// Its weight now.
    pub coefficient: f64,
    /// The share of its weight that is left.
    pub left: f64,
}

/// An answer with everything that is known before the updates.
#[derive(Debug)]
pub struct Item<'step> {
    /// The question and all its answers.
    pub group: &'step Group,
    /// The answer.
    pub answer: &'step Answer,
    /// Of every token.
    pub advantage: Vec<f32>,
    /// Every token's log-probability before the step's first update, where that is not the next.
    pub old: Option<Vec<f32>>,
    /// Every token's log-probability under the reference.
    pub reference: Option<Vec<f32>>,
    /// Scores under every contrast; nothing where they are computed anew with gradient.
    pub contrasts: Vec<TokenScores>,
}

impl Item<'_> {
    /// The answer behind its question with one of the question's pictures.
    #[must_use]
    pub fn seen_with(&self, picture: Picture) -> Scored<'_> {
        Scored { prompt: &self.group.prompts[&picture], answer: &self.answer.drawn.ids }
    }
}
