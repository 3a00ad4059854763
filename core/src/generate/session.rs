//! The decode loop: one prompt or many, one answer each or several that share a prefill.
//!
//! [`Session::begin`] reads the prompts; every [`Session::step`] gives one token to every answer that
//! is not finished. Nothing else in this project decodes. To cancel, stop calling.

use super::draw::{Drawn, can_draw, draw};
use super::row::{Chosen, Read, Row, read};
use super::{SamplingOptions, StopReason, StopRules};
use crate::config::ModelConfig;
use crate::model::{Cache, Prompt, VisionLanguageModel};
use crate::prompt::{PromptError, Tokenizer};
use burn::tensor::{ExecutionError, Tensor};
use thiserror::Error;

/// How a session decodes.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Choice of tokens.
    pub sampling: SamplingOptions,
    /// End of answers.
    pub stop: StopRules,
    /// Answers to every prompt.
    pub answers: usize,
}

/// A session that cannot begin or go on.
#[derive(Debug, Error)]
pub enum GenerateError {
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {found} tokens, which leaves no room for an answer in the model's context of {context}"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        found: usize,
        /// Tokens of the context.
        context: usize,
    },
    /// The model's scores are no numbers.
    #[error("the model's scores are not numbers (NaN)")]
    NotANumber,
    /// The prompt has no tokens.
    #[error("the prompt is empty")]
    EmptyPrompt,
    /// The device failed.
    #[error("the device failed: {0:?}")]
    Device(ExecutionError),
    /// A token could not be turned into text.
    #[error(transparent)]
    Text(#[from] PromptError),
}

impl GenerateError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::PromptTooLong { .. } => {
                "shorten the question, or lower max_pixels in preprocessor_config.json"
            }
            Self::NotANumber => {
                "the weights overflow in this precision, or are damaged: try --device flex, or download them again"
            }
            Self::EmptyPrompt => "give at least one message",
            Self::Device(_) => {
                "the device may be out of memory: close other programs or choose another device"
            }
            Self::Text(error) => error.hint(),
        }
    }
}

/// One token of one answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Number of the answer: prompt × answers per prompt + answer.
    pub row: usize,
    /// The token.
    pub id: u32,
    /// Text that is certain now; often of this token, sometimes of earlier ones.
    pub text: String,
    /// Set on an answer's last token.
    pub stop: Option<StopReason>,
    /// Natural logarithm of the token's probability at the session's temperature, before anything is
    /// cut off or banned; where [`Session::with_log_probs`] asked for it.
    pub log_prob: Option<f32>,
}

/// Answers in the making.
#[derive(Debug)]
pub struct Session<'model> {
    model: &'model VisionLanguageModel,
    config: &'model ModelConfig,
    options: SessionOptions,
    cache: Cache,
    /// Unfinished answers, in the cache's order.
    rows: Vec<Row>,
    /// Scores of the next token, `[rows, vocab]`; `None` once they are used.
    scores: Option<Tensor<2>>,
    /// Answers that were begun so far.
    numbers: usize,
    /// Whether steps tell the probability of their token.
    wants_log_probs: bool,
    /// Tokens that are never chosen.
    banned: Vec<u32>,
    /// Whether tokens are drawn on the device, where options allow it.
    draws_on_device: bool,
}

impl<'model> Session<'model> {
    /// Reads the prompts. Each is read once, however many answers it gets.
    ///
    /// # Errors
    /// A prompt is empty or longer than the context.
    pub fn begin(
        model: &'model VisionLanguageModel,
        config: &'model ModelConfig,
        tokenizer: &Tokenizer,
        prompts: &[&Prompt],
        options: SessionOptions,
    ) -> Result<Self, GenerateError> {
        let seed = options.sampling.seed;
        let draws = |number: usize| (seed, number as u64);
        let Read { cache, scores, rows } = read(model, config, tokenizer, prompts, &options, &draws)?;
        let rows = if options.stop.max_new_tokens == 0 { Vec::new() } else { rows };
        let numbers = prompts.len() * options.answers;
        Ok(Self { cache, rows, scores: Some(scores), numbers, ..Self::open(model, config, options) })
    }

    /// A session without prompts, for [`Session::admit`].
    #[must_use]
    pub fn open(
        model: &'model VisionLanguageModel,
        config: &'model ModelConfig,
        options: SessionOptions,
    ) -> Self {
        let cache = model.cache(0, Vec::new(), config);
        let (rows, banned) = (Vec::new(), Vec::new());
        Self {
            model,
            config,
            options,
            cache,
            rows,
            scores: None,
            numbers: 0,
            wants_log_probs: false,
            banned,
            draws_on_device: false,
        }
    }

    /// Answers in the making.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.rows.len()
    }

    /// Reads more prompts while other answers are in the making, and gives each of the new answers its first
    /// token; numbers of answers go on from those before. Room that finished answers have left is used again.
    /// Answers to a prompt draw from its own entry of `seeds`, whatever else is in the making.
    ///
    /// # Panics
    /// There is not one seed a prompt.
    ///
    /// # Errors
    /// A prompt is empty or longer than the context, or the device failed.
    pub async fn admit(
        &mut self,
        tokenizer: &Tokenizer,
        prompts: &[&Prompt],
        seeds: &[u64],
    ) -> Result<Vec<Step>, GenerateError> {
        assert_eq!(prompts.len(), seeds.len(), "a seed for every prompt");
        // All answers stand at the same place before others join them.
        let mut steps = if self.scores.is_some() { self.step().await? } else { Vec::new() };
        if prompts.is_empty() || self.options.stop.max_new_tokens == 0 {
            return Ok(steps);
        }
        let answers = self.options.answers;
        let draws = |number: usize| (seeds[number / answers], (number % answers) as u64);
        let Read { cache, scores, mut rows } =
            read(self.model, self.config, tokenizer, prompts, &self.options, &draws)?;
        for row in &mut rows {
            row.number += self.numbers;
        }
        self.numbers += rows.len();
        let old_rows = std::mem::replace(&mut self.rows, rows);
        let empty = self.model.cache(0, Vec::new(), self.config);
        let old_cache = std::mem::replace(&mut self.cache, cache);
        self.scores = Some(scores);
        steps.extend(self.step().await?);
        if self.rows.is_empty() {
            (self.rows, self.cache) = (old_rows, old_cache);
        } else if !old_rows.is_empty() {
            let new_cache = std::mem::replace(&mut self.cache, empty);
            self.cache = old_cache.join(new_cache, self.options.stop.max_new_tokens);
            let new_rows = std::mem::replace(&mut self.rows, old_rows);
            self.rows.extend(new_rows);
        }
        Ok(steps)
    }

    /// Has every step tell the logarithm of its token's probability.
    #[must_use]
    pub fn with_log_probs(mut self) -> Self {
        self.wants_log_probs = true;
        self
    }

    /// Draws tokens where the scores are, as far as options allow it, so that three numbers a row come back
    /// instead of a score for every token. Same distribution, other draws from the same seed than on the host.
    #[must_use]
    pub fn with_draws_on_device(mut self, draws_on_device: bool) -> Self {
        self.draws_on_device = draws_on_device;
        self
    }

    /// Never chooses these tokens.
    #[must_use]
    pub fn with_banned(mut self, ids: &[u32]) -> Self {
        self.banned.extend(ids);
        self
    }

    /// Whether all answers are complete.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives every unfinished answer its next token. The one place that waits for the device.
    ///
    /// # Errors
    /// The device failed, or the model's scores are no numbers.
    pub async fn step(&mut self) -> Result<Vec<Step>, GenerateError> {
        if self.rows.is_empty() {
            return Ok(Vec::new());
        }
        let scores = match self.scores.take() {
            Some(scores) => scores,
            None => self.read_last(),
        };
        let chosen = self.choose(scores).await?;
        let mut steps = Vec::with_capacity(chosen.len());
        let mut kept = Vec::with_capacity(chosen.len());
        for (index, chosen) in chosen.into_iter().enumerate() {
            let step = self.rows[index].take(chosen, &self.options.stop)?;
            if step.stop.is_none() {
                kept.push(index);
            }
            steps.push(step);
        }
        if kept.len() < self.rows.len() {
            if !kept.is_empty() {
                let empty = self.model.cache(0, Vec::new(), self.config);
                self.cache = std::mem::replace(&mut self.cache, empty).keep(&kept);
            }
            let mut index = 0;
            self.rows.retain(|_| {
                index += 1;
                kept.contains(&(index - 1))
            });
        }
        Ok(steps)
    }

    fn read_last(&mut self) -> Tensor<2> {
        let ids: Vec<u32> = self.rows.iter().map(|row| row.last).collect();
        let positions: Vec<i32> = self.rows.iter().map(|row| row.position).collect();
        for row in &mut self.rows {
            row.position += 1;
        }
        let states = self.model.step(&ids, &positions, &mut self.cache, self.config);
        let [batch, _, hidden] = states.dims();
        self.model.logits(states.reshape([batch, hidden]))
    }

    /// Draws on the device; ids, log-probabilities and counts of odd scores come back in one reading.
    async fn draw(&mut self, scores: Tensor<2>) -> Result<Vec<Chosen>, GenerateError> {
        let uniforms: Vec<f32> = self.rows.iter_mut().map(|row| row.sampler.uniform()).collect();
        let Drawn { ids, log_probs, odd } = draw(scores, &self.options.sampling, &self.banned, &uniforms);
        // Ids of all vocabularies are below 2²⁴: f32 holds them.
        let all = Tensor::cat(vec![ids.float(), log_probs, odd.float()], 1);
        let data = all.into_data_async().await.map_err(GenerateError::Device)?;
        let numbers: Vec<f32> = data.iter::<f32>().collect();
        let (rows, _) = numbers.as_chunks::<3>();
        if rows.iter().any(|[_, _, odd]| *odd > 0.0) {
            return Err(GenerateError::NotANumber);
        }
        let wants = self.wants_log_probs;
        Ok(rows.iter().map(|[id, log_prob, _]| (*id as u32, wants.then_some(*log_prob))).collect())
    }

    async fn choose(&mut self, scores: Tensor<2>) -> Result<Vec<Chosen>, GenerateError> {
        let options = &self.options.sampling;
        if options.is_plain_argmax() && !self.wants_log_probs && self.banned.is_empty() {
            // One reading for both: the likeliest token, and how many scores are no numbers.
            let odd = scores.clone().is_nan().int().sum_dim(1);
            let both = Tensor::cat(vec![scores.argmax(1), odd], 1);
            let data = both.into_data_async().await.map_err(GenerateError::Device)?;
            let numbers: Vec<i64> = data.iter::<i64>().collect();
            let (rows, _) = numbers.as_chunks::<2>();
            if rows.iter().any(|[_, odd]| *odd > 0) {
                return Err(GenerateError::NotANumber);
            }
            return Ok(rows.iter().map(|[id, _]| (*id as u32, None)).collect());
        }
        if self.draws_on_device && can_draw(options) {
            return self.draw(scores).await;
        }
        let [_, vocab] = scores.dims();
        let mut data = scores.into_data_async().await.map_err(GenerateError::Device)?;
        let logits = data.as_mut_slice::<f32>().expect("logits are f32");
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(GenerateError::NotANumber);
        }
        Ok(self
            .rows
            .iter_mut()
            .zip(logits.chunks_exact_mut(vocab))
            .map(|(row, logits)| {
                let total = self.wants_log_probs.then(|| log_sum_exp(logits, options.temperature));
                let plain: Option<Vec<f32>> = total.map(|_| logits.to_vec());
                for id in &self.banned {
                    logits[*id as usize] = f32::NEG_INFINITY;
                }
                let id = row.sampler.choose(logits, options);
                let log_prob = total.zip(plain).map(|(total, plain)| {
                    (f64::from(plain[id as usize]) / scale(options.temperature) - total) as f32
                });
                (id, log_prob)
            })
            .collect())
    }
}

/// Greedy choice has no temperature of its own; its probabilities are those at 1.
fn scale(temperature: f64) -> f64 {
    if temperature > 0.0 { temperature } else { 1.0 }
}

fn log_sum_exp(logits: &[f32], temperature: f64) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let scale = scale(temperature);
    let sum: f64 = logits.iter().map(|logit| ((f64::from(*logit) - largest) / scale).exp()).sum();
    largest / scale + sum.ln()
}
