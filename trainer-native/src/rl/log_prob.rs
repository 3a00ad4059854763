//! How likely the policy finds given answers, without ever holding `[rollouts, tokens, vocab]`.
//!
//! The network is read up to its last states, which stay; logits are made for some tokens at a time and
//! dropped again. For the gradient the logits of each part are made once more: what an objective says about
//! every token ([`TokenGradients`]) is carried through the head part by part, and through the network
//! ([`Trunk`]) once. That is the chain rule, cut where the memory is.

use super::features::Features;
use super::tokens::PerToken;
use crate::optimizer::{NamedGradients, accumulate, collect};
use crate::sft::MAX_SCORES;
use crate::trunk::{Keep, Trunk};
use burn::tensor::activation::log_softmax;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::{Prompt, VisionLanguageModel};

/// Most rows of logits at a time: as many scores as fine-tuning holds.
#[must_use]
pub fn chunk_rows(config: &ModelConfig) -> usize {
    (MAX_SCORES / config.text.vocab_size).max(1)
}

/// An answer behind the prompt that it is conditioned on.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The prompt, with the pictures that are looked at.
    pub prompt: &'a Prompt,
    /// The answer's tokens, the end token included.
    pub answer: &'a [u32],
}

impl Scored<'_> {
    /// Prompt and answer in one sequence.
    fn whole(&self) -> Prompt {
        let mut whole = self.prompt.clone();
        whole.ids.extend(self.answer);
        whole.positions.push_text(self.answer.len());
        whole
    }
}

/// What the policy says about every token of some answers.
#[derive(Debug, Clone, Default)]
pub struct TokenScores {
    /// Logarithm of the token's probability at the given temperature.
    pub log_prob: PerToken,
    /// Entropy of the distribution that it was drawn from; empty where it was not asked for.
    pub entropy: PerToken,
}

/// What an objective says about every token: the derivatives of its loss.
#[derive(Debug, Clone, Default)]
pub struct TokenGradients {
    /// By the log-probability.
    pub log_prob: PerToken,
    /// By the entropy; empty where the loss does not depend on it.
    pub entropy: PerToken,
}

/// A model, and how it is asked.
#[derive(Debug, Clone, Copy)]
pub struct Scorer<'model> {
    /// Records, where gradients are wanted.
    pub model: &'model VisionLanguageModel,
    /// Its sizes.
    pub config: &'model ModelConfig,
    /// What its vision tower makes of the prompts' pictures, where that is known already; no gradient flows
    /// into the tower then.
    pub features: Option<&'model Features>,
    /// What logits are divided by.
    pub temperature: f64,
    /// Whether entropies are computed.
    pub with_entropy: bool,
    /// Most rows of logits at a time.
    pub chunk_rows: usize,
    /// What a pass with gradient keeps for the way back.
    pub keep: Keep,
}

/// A forward pass up to the last states of all tokens that are scored.
#[derive(Debug)]
pub struct Pass<'model> {
    scorer: Scorer<'model>,
    trunk: Trunk<'model>,
    /// The rows of the trunk's output that foretell the answers' tokens: `[tokens of all answers]`
    rows: Tensor<1, Int>,
    targets: Vec<i32>,
    lengths: Vec<usize>,
}

impl<'model> Scorer<'model> {
    /// Reads prompts and answers. A picture that several prompts share is looked at once.
    #[must_use]
    pub fn read(self, scored: &[Scored<'_>]) -> Pass<'model> {
        let wholes: Vec<Prompt> = scored.iter().map(Scored::whole).collect();
        let wholes: Vec<&Prompt> = wholes.iter().collect();
        let features = self.features.and_then(|features| features.of(&wholes, self.config));
        let trunk = Trunk::forward(self.model, self.config, &wholes, features, self.keep);
        let seq = wholes.iter().map(|whole| whole.ids.len()).max().unwrap_or(0);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (index, one) in scored.iter().enumerate() {
            // A token is foretold by the state before it.
            let first = index * seq + one.prompt.ids.len() - 1;
            rows.extend((first..first + one.answer.len()).map(|row| row as i32));
            targets.extend(one.answer.iter().map(|id| *id as i32));
        }
        let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &trunk.output().device());
        let lengths = scored.iter().map(|one| one.answer.len()).collect();
        Pass { scorer: self, trunk, rows, targets, lengths }
    }

    /// Log-probability and entropy of every row of states.
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`
    /// - output: `[rows]`, `[rows]`
    fn head(&self, states: Tensor<2>, targets: &[i32]) -> (Tensor<1>, Option<Tensor<1>>) {
        let logits = self.model.logits(states) / self.temperature;
        token_scores(logits, targets, self.with_entropy)
    }
}

/// Log-probability of the targets and entropy under given logits.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - output: `[rows]`, `[rows]`
#[must_use]
pub fn token_scores(
    logits: Tensor<2>,
    targets: &[i32],
    with_entropy: bool,
) -> (Tensor<1>, Option<Tensor<1>>) {
    let [rows, _] = logits.dims();
    let device = logits.device();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets.to_vec(), [rows, 1]), &device);
    let log_probs = log_softmax(logits, 1);
    let entropy =
        with_entropy.then(|| (log_probs.clone().exp() * log_probs.clone()).sum_dim(1).neg().reshape([rows]));
    (log_probs.gather(1, targets).reshape([rows]), entropy)
}

impl Pass<'_> {
    /// The scores of all tokens. `plain` is the same model without recording.
    ///
    /// # Panics
    /// The device failed.
    #[must_use]
    pub fn scores(&self, plain: &VisionLanguageModel) -> TokenScores {
        let scorer = Scorer { model: plain, ..self.scorer };
        let states = self.states();
        let (mut log_probs, mut entropies) = (Vec::new(), Vec::new());
        for (start, targets) in self.chunks() {
            let (log_prob, entropy) = scorer.head(states.clone().narrow(0, start, targets.len()), targets);
            log_probs.extend(log_prob.into_data().iter::<f32>());
            entropies.extend(
                entropy.into_iter().flat_map(|entropy| entropy.into_data().iter::<f32>().collect::<Vec<_>>()),
            );
        }
        let entropy = if entropies.is_empty() { Vec::new() } else { self.split(&entropies) };
        TokenScores { log_prob: self.split(&log_probs), entropy }
    }

    /// The gradients of all parameters.
    ///
    /// # Panics
    /// The model does not record.
    #[must_use]
    pub fn backward(self, gradients: &TokenGradients) -> NamedGradients {
        let all = self.states();
        let device = self.scorer.model.device();
        let weights = [&gradients.log_prob, &gradients.entropy].map(|rows| rows.concat());
        let mut sum = NamedGradients::new();
        let mut by_state = Vec::new();
        for (start, targets) in self.chunks() {
            let count = targets.len();
            let states = Tensor::from_inner(all.clone().narrow(0, start, count)).require_grad();
            let (log_prob, entropy) = self.scorer.head(states.clone(), targets);
            let weight = |all: &[f32]| Tensor::<1>::from_floats(&all[start..start + count], &device);
            let mut loss = (log_prob * weight(&weights[0])).sum();
            if let Some(entropy) = entropy.filter(|_| !weights[1].is_empty()) {
                loss = loss + (entropy * weight(&weights[1])).sum();
            }
            let mut part = loss.backward();
            by_state.push(states.grad_remove(&mut part).unwrap_or_else(|| states.inner().zeros_like()));
            accumulate(&mut sum, collect(self.scorer.model, &mut part));
        }
        if by_state.is_empty() {
            return sum;
        }
        let output = self.trunk.output();
        let gradient =
            output.zeros_like().select_assign(0, self.rows, Tensor::cat(by_state, 0), IndexingUpdateOp::Add);
        accumulate(&mut sum, self.trunk.backward(gradient));
        sum
    }

    /// The states that foretell the answers' tokens, outside of any graph.
    ///
    /// # Shapes
    /// - output: `[tokens of all answers, hidden]`
    fn states(&self) -> Tensor<2> {
        self.trunk.output().select(0, self.rows.clone())
    }

    /// Where parts begin, and their targets.
    fn chunks(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let rows = self.scorer.chunk_rows;
        self.targets.chunks(rows).enumerate().map(move |(index, targets)| (index * rows, targets))
    }

    fn split(&self, values: &[f32]) -> PerToken {
        let mut rest = values;
        self.lengths
            .iter()
            .map(|length| {
                let (row, after) = rest.split_at(*length);
                rest = after;
                row.to_vec()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
