//! What drawing answers takes.

use super::learning::Reckoning;
use super::loads::Size;
use super::{Load, Trainee};
use crate::rl::{Measure, Picture};
use fine_r1_core::config::ModelConfig;
use std::collections::BTreeMap;

/// How answers are drawn, for every worker.
#[derive(Debug, Clone)]
pub struct Rollouts {
    /// Workers that draw.
    pub workers: usize,
    /// Answers in the making at the same time.
    pub rows: usize,
    /// Tokens that the cache has room for: the longest prompt's and an answer's.
    pub capacity: usize,
    /// The longest prompts that are read together.
    pub prompts: Load,
    /// Prompts that a step reads.
    pub prompts_per_step: usize,
    /// Answers of a step.
    pub answers_per_step: usize,
}

impl Rollouts {
    /// The rollouts of measured questions.
    #[must_use]
    pub fn of(reckoning: &Reckoning<'_>, measured: &[BTreeMap<Picture, Measure>]) -> Self {
        let Reckoning { recipe, processor, device, .. } = *reckoning;
        let answers = recipe.active_views().map(|(_, view)| view.answers).max().unwrap_or(1);
        let share = recipe.prompts_per_try().div_ceil(recipe.workers);
        let at_once = (recipe.rollout.decode_batch.max(answers) / answers).min(share);
        let mut shown: Vec<&Measure> = measured
            .iter()
            .flat_map(|question| recipe.active_views().map(|(picture, _)| &question[&picture]))
            .collect();
        shown.sort_by_key(|measure| std::cmp::Reverse(measure.tokens));
        let size =
            |measure: &&Measure| Size { tokens: measure.tokens, labels: 1, grids: measure.grids.clone() };
        let sizes: Vec<Size> = shown.iter().take(at_once).map(size).collect();
        let prompts = Load::of_sequences(processor, &sizes, device);
        let views = recipe.active_views().count();
        Self {
            workers: recipe.workers.min(recipe.prompts_per_try().div_ceil(share)),
            rows: at_once * answers,
            capacity: prompts.seq + recipe.rollout.max_new_tokens,
            prompts,
            prompts_per_step: recipe.rollout.prompts_per_step * views,
            answers_per_step: recipe.rollout.prompts_per_step * recipe.answers_per_prompt(),
        }
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn cache(&self, config: &ModelConfig, width: usize) -> usize {
        self.workers * config.text.num_hidden_layers * self.layer_cache(config, width)
    }

    /// Bytes that are in flight: of the prompts, or of a layer's cache that is put in order anew and scores in
    /// three forms (as they are, as they are drawn from, and ranked).
    #[must_use]
    pub fn in_flight(&self, trainee: &Trainee<'_>) -> usize {
        let text = &trainee.config.text;
        let scores = 3 * self.rows * text.vocab_size * size_of::<f32>();
        let reading = trainee.in_flight(&self.prompts);
        self.workers * reading.max(scores + 2 * self.layer_cache(trainee.config, trainee.width))
    }

    /// Of one layer and one worker.
    fn layer_cache(&self, config: &ModelConfig, width: usize) -> usize {
        let text = &config.text;
        let row = 2 * text.num_key_value_heads * text.head_dim() * self.capacity * width;
        self.rows * row
    }
}
