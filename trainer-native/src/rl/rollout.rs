//! Draws answers with the core that trains: the same weights, no copy. A prompt and its pictures are read
//! once, however many answers they get; answers that are complete leave the batch, and the next prompt's
//! enter (continuous batching: <https://www.usenix.org/conference/osdi22/presentation/yu>).

use crate::device::computes_on_host;
use crate::workers::Workers;
use anyhow::{Result, anyhow};
use fine_r1_core::generate::{
    GenerateError, SamplingOptions, Session, SessionOptions, StopReason, StopRules,
};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::{Processor, RecognizerError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Nothing can be drawn from the policy's scores. Who knows what its weights have been through says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the policy's scores are not numbers (NaN)")]
pub struct ScoresAreNoNumbers;

/// The `[rollout]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RolloutSettings {
    /// Questions of a step.
    pub prompts_per_step: usize,
    /// Questions that are drawn at a time until a step has enough; 0 takes as many as a step has.
    pub prompts_per_try: usize,
    /// Divides the scores, in drawing and in learning.
    pub temperature: f64,
    /// Draw from the likeliest tokens whose probabilities reach this sum. Below 1 answers are drawn from another
    /// distribution than the one they are learnt under.
    pub top_p: f64,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers that are decoded together.
    pub decode_batch: usize,
}

impl Default for RolloutSettings {
    fn default() -> Self {
        Self {
            prompts_per_step: 384,
            prompts_per_try: 128,
            temperature: 1.0,
            top_p: 0.99,
            max_new_tokens: 2048,
            decode_batch: 64,
        }
    }
}

/// An answer that was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// Its tokens, the end token included.
    pub ids: Vec<u32>,
    /// Logarithm of each token's probability, as it was drawn.
    pub log_probs: Vec<f32>,
    /// Its text.
    pub text: String,
    /// Why it ended.
    pub stop: StopReason,
}

/// How answers are drawn.
#[derive(Clone, Copy)]
pub struct Drawer<'run> {
    /// Weights, without recording.
    pub model: &'run VisionLanguageModel,
    /// Tokenizer and sizes.
    pub processor: &'run Processor,
    /// Who draws.
    pub workers: &'run Workers,
    /// Divides the scores; 0 takes the likeliest token.
    pub temperature: f64,
    /// Share of the probability that is drawn from.
    pub top_p: f64,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
    /// Answers that are decoded together.
    pub decode_batch: usize,
}

impl Drawer<'_> {
    /// Draws `answers` answers to every prompt; `seed` gives the seed of every prompt by its number. Every
    /// worker has its share of the prompts, so that who is faster changes nothing.
    ///
    /// # Errors
    /// A prompt does not fit the context, the device failed, or [`ScoresAreNoNumbers`].
    pub fn draw(
        &self,
        prompts: &[&Prompt],
        answers: usize,
        seed: impl Fn(u64) -> u64 + Sync,
    ) -> Result<Vec<Vec<Drawn>>> {
        let share = prompts.len().div_ceil(self.workers.count()).max(1);
        let shares: Vec<(usize, &[&Prompt])> = (0..).zip(prompts.chunks(share)).collect();
        let drawn = self.workers.map(shares, |(number, prompts)| {
            self.draw_share(prompts, answers, |place| seed((number * share + place) as u64))
        })?;
        Ok(drawn.concat())
    }

    /// Draws from one prompt after the other: a prompt is read as soon as answers that are complete have left
    /// room for its own.
    fn draw_share(
        &self,
        prompts: &[&Prompt],
        answers: usize,
        seed: impl Fn(usize) -> u64,
    ) -> Result<Vec<Vec<Drawn>>> {
        let failed = |error| match error {
            GenerateError::NotANumber => ScoresAreNoNumbers.into(),
            error => {
                let error = RecognizerError::Generate(error);
                anyhow!("{error}\nhint: {}", error.hint())
            }
        };
        let (config, tokenizer) = (self.processor.config(), self.processor.tokenizer());
        let options = SessionOptions {
            sampling: SamplingOptions {
                temperature: self.temperature,
                top_p: self.top_p,
                ..SamplingOptions::default()
            },
            stop: StopRules {
                ids: self.processor.stop_ids(),
                strings: Vec::new(),
                max_new_tokens: self.max_new_tokens,
            },
            answers,
        };
        // A token of a picture in an answer would ask for a picture when the answer is scored.
        let banned = [config.tokens.image];
        let mut session = Session::open(self.model, config, options).with_log_probs().with_banned(&banned);
        session = session.with_draws_on_device(!computes_on_host(&self.model.device()));
        let empty =
            Drawn { ids: Vec::new(), log_probs: Vec::new(), text: String::new(), stop: StopReason::Length };
        let mut drawn = vec![vec![empty; answers]; prompts.len()];
        let mut next = 0;
        while !session.is_finished() || next < prompts.len() {
            let mut steps = Vec::new();
            let room = self.decode_batch.max(answers).saturating_sub(session.unfinished()) / answers;
            let end = (next + room).min(prompts.len());
            if next < end {
                let seeds: Vec<u64> = (next..end).map(&seed).collect();
                let admitted = session.admit(tokenizer, &prompts[next..end], &seeds);
                steps.extend(pollster::block_on(admitted).map_err(failed)?);
                next = end;
            }
            steps.extend(pollster::block_on(session.step()).map_err(failed)?);
            for step in steps {
                let answer = &mut drawn[step.row / answers][step.row % answers];
                answer.ids.push(step.id);
                answer.log_probs.extend(step.log_prob);
                answer.text.push_str(&step.text);
                answer.stop = step.stop.unwrap_or(answer.stop);
            }
        }
        Ok(drawn)
    }
}
