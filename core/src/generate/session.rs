//! The decode loop: one prompt or many, one answer each or several that share a prefill.
//!
//! [`Session::begin`] reads the prompts; every [`Session::step`] gives one token to every answer that
//! is not finished. Nothing else in this project decodes. To cancel, stop calling.

use super::{Sampler, SamplingOptions, StopReason, StopRules, StopStrings};
use crate::config::ModelConfig;
use crate::model::{Cache, Prompt, VisionLanguageModel, vlm::PaddingSide};
use crate::prompt::{Detokenizer, PromptError, Tokenizer};
use burn::tensor::{ExecutionError, Int, Tensor};
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
                "the weights overflow in this precision, or are damaged: try --device cpu, or download them again"
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
    /// Whether steps tell the probability of their token.
    wants_log_probs: bool,
    /// Tokens that are never chosen.
    banned: Vec<u32>,
}

/// A token that was chosen, and the logarithm of its probability where it is wanted.
type Chosen = (u32, Option<f32>);

#[derive(Debug)]
struct Row {
    number: usize,
    position: i32,
    produced: usize,
    room: usize,
    last: u32,
    sampler: Sampler,
    text: Detokenizer,
    stop_strings: StopStrings,
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
        let context = config.text.max_position_embeddings;
        for prompt in prompts {
            let found = prompt.ids.len();
            if found == 0 {
                return Err(GenerateError::EmptyPrompt);
            }
            if found >= context {
                return Err(GenerateError::PromptTooLong { found, context });
            }
        }
        let embedded = model.embed(prompts, PaddingSide::Left, config);
        let [_, seq, hidden] = embedded.states.dims();
        let capacity = seq.saturating_add(options.stop.max_new_tokens).min(context.max(seq + 1));
        let mut cache = model.cache(capacity, embedded.starts.clone(), config);
        let states = model.read(embedded, Some(&mut cache), config);
        let last = states.narrow(1, seq - 1, 1).reshape([prompts.len(), hidden]);
        let mut scores = model.logits(last);

        if options.answers > 1 {
            let spread: Vec<usize> =
                (0..prompts.len()).flat_map(|prompt| std::iter::repeat_n(prompt, options.answers)).collect();
            let indices: Vec<i32> = spread.iter().map(|row| *row as i32).collect();
            scores = scores.select(0, Tensor::<1, Int>::from_ints(indices.as_slice(), &model.device()));
            cache = if prompts.len() == 1 { cache.fan_out(options.answers) } else { cache.keep(&spread) };
        }
        let rows = (0..prompts.len() * options.answers)
            .map(|number| {
                let prompt = prompts[number / options.answers];
                Row {
                    number,
                    position: prompt.positions.next,
                    produced: 0,
                    room: (context - prompt.ids.len()).min(capacity - seq),
                    last: 0,
                    sampler: Sampler::new(
                        options.sampling.seed,
                        number as u64,
                        &prompt.ids,
                        config.text.vocab_size,
                    ),
                    text: Detokenizer::new(tokenizer.clone()),
                    stop_strings: StopStrings::new(&options.stop.strings),
                }
            })
            .collect();
        let rows = if options.stop.max_new_tokens == 0 { Vec::new() } else { rows };
        let (wants_log_probs, banned) = (false, Vec::new());
        Ok(Self { model, config, options, cache, rows, scores: Some(scores), wants_log_probs, banned })
    }

    /// Has every step tell the logarithm of its token's probability.
    #[must_use]
    pub fn with_log_probs(mut self) -> Self {
        self.wants_log_probs = true;
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

impl Row {
    fn take(&mut self, (id, log_prob): Chosen, rules: &StopRules) -> Result<Step, GenerateError> {
        self.last = id;
        self.produced += 1;
        let mut stop = None;
        let mut text = String::new();
        if rules.ids.contains(&id) {
            stop = Some(StopReason::EndToken);
        } else {
            let piece = self.text.push(id)?;
            let (certain, stopped) = self.stop_strings.push(&piece);
            text = certain;
            if stopped {
                stop = Some(StopReason::StopString);
            } else if self.produced >= rules.max_new_tokens {
                stop = Some(StopReason::Length);
            } else if self.produced >= self.room {
                stop = Some(StopReason::ContextFull);
            }
        }
        if stop.is_some_and(|reason| reason != StopReason::StopString) {
            let rest = self.text.finish();
            let (certain, stopped) = self.stop_strings.push(&rest);
            text.push_str(&certain);
            if stopped {
                stop = Some(StopReason::StopString);
            } else {
                text.push_str(&self.stop_strings.finish());
            }
        }
        Ok(Step { row: self.number, id, text, stop, log_prob })
    }
}
