//! Answers in the making, from a prompt that was read to the token that ends them.

use super::session::{GenerateError, SessionOptions, Step};
use super::{Sampler, StopReason, StopRules, StopStrings};
use crate::config::ModelConfig;
use crate::model::{Cache, Prompt, VisionLanguageModel, vlm::PaddingSide};
use crate::prompt::{Detokenizer, Tokenizer};
use burn::tensor::{Int, Tensor};

/// A token that was chosen, and the logarithm of its probability where it is wanted.
pub(super) type Chosen = (u32, Option<f32>);

/// An answer in the making.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) number: usize,
    pub(super) position: i32,
    produced: usize,
    room: usize,
    pub(super) last: u32,
    pub(super) sampler: Sampler,
    text: Detokenizer,
    stop_strings: StopStrings,
}

/// Prompts that were read, and their answers before the first token.
pub(super) struct Read {
    pub(super) cache: Cache,
    /// `[rows, vocab]`
    pub(super) scores: Tensor<2>,
    pub(super) rows: Vec<Row>,
}

/// Reads prompts, each once, however many answers it gets. `draws` has seed and stream of every answer.
pub(super) fn read(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    prompts: &[&Prompt],
    options: &SessionOptions,
    draws: &dyn Fn(usize) -> (u64, u64),
) -> Result<Read, GenerateError> {
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
            let (seed, stream) = draws(number);
            Row {
                number,
                position: prompt.positions.next,
                produced: 0,
                room: (context - prompt.ids.len()).min(capacity - seq),
                last: 0,
                sampler: Sampler::new(seed, stream, &prompt.ids, config.text.vocab_size),
                text: Detokenizer::new(tokenizer.clone()),
                stop_strings: StopStrings::new(&options.stop.strings),
            }
        })
        .collect();
    Ok(Read { cache, scores, rows })
}

impl Row {
    /// Takes note of the next token.
    pub(super) fn take(&mut self, (id, log_prob): Chosen, rules: &StopRules) -> Result<Step, GenerateError> {
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
