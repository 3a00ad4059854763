//! How likely the policy finds given answers, without ever holding `[rollouts, tokens, vocab]`.
//!
//! The network is read up to its last states, which stay; logits are made for some tokens at a time and
//! dropped again. For the gradient the logits of each part are made once more: what an objective says about
//! every token ([`TokenGradients`]) is carried through the head part by part, and through the network once.
//! That is the chain rule, cut where the memory is.

use super::tokens::PerToken;
use crate::optimizer::{NamedGradients, accumulate, collect};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Prompt, VisionLanguageModel};

/// Most rows of logits at a time.
pub const CHUNK_ROWS: usize = 2048;

/// An answer behind the prompt that it is conditioned on.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// The prompt, with the pictures that are looked at.
    pub prompt: &'a Prompt,
    /// The answer's tokens, the end token included.
    pub answer: &'a [u32],
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
    /// What logits are divided by.
    pub temperature: f64,
    /// Whether entropies are computed.
    pub with_entropy: bool,
    /// Most rows of logits at a time.
    pub chunk_rows: usize,
}

/// A forward pass up to the last states of all tokens that are scored.
#[derive(Debug)]
pub struct Pass<'model> {
    scorer: Scorer<'model>,
    /// `[tokens of all answers, hidden]`
    states: Tensor<2>,
    targets: Vec<i32>,
    lengths: Vec<usize>,
}

impl<'model> Scorer<'model> {
    /// Reads prompts and answers.
    #[must_use]
    pub fn read(self, scored: &[Scored<'_>]) -> Pass<'model> {
        let wholes: Vec<Prompt> = scored
            .iter()
            .map(|one| {
                let mut whole = one.prompt.clone();
                whole.ids.extend(one.answer);
                whole.positions.push_text(one.answer.len());
                whole
            })
            .collect();
        let borrowed: Vec<&Prompt> = wholes.iter().collect();
        let embedded = self.model.embed(&borrowed, PaddingSide::Right, self.config);
        let [batch, seq, hidden] = embedded.states.dims();
        let states = self.model.read(embedded, None, self.config).reshape([batch * seq, hidden]);
        let (mut rows, mut targets) = (Vec::new(), Vec::new());
        for (index, one) in scored.iter().enumerate() {
            // A token is foretold by the state before it.
            let first = index * seq + one.prompt.ids.len() - 1;
            rows.extend((first..first + one.answer.len()).map(|row| row as i32));
            targets.extend(one.answer.iter().map(|id| *id as i32));
        }
        let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &states.device());
        let lengths = scored.iter().map(|one| one.answer.len()).collect();
        Pass { scorer: self, states: states.select(0, rows), targets, lengths }
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
        let states = self.states.clone().inner();
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
        let device = self.states.device();
        let weights = [&gradients.log_prob, &gradients.entropy].map(|rows| rows.concat());
        let mut sum = NamedGradients::new();
        let mut by_state = Vec::new();
        for (start, targets) in self.chunks() {
            let count = targets.len();
            let states = self.states.clone().narrow(0, start, count).detach().require_grad();
            let (log_prob, entropy) = self.scorer.head(states.clone(), targets);
            let weight = |all: &[f32]| Tensor::<1>::from_floats(&all[start..start + count], &device);
            let mut loss = (log_prob * weight(&weights[0])).sum();
            if let Some(entropy) = entropy.filter(|_| !weights[1].is_empty()) {
                loss = loss + (entropy * weight(&weights[1])).sum();
            }
            let mut part = loss.backward();
            let by_part = states.grad_remove(&mut part).unwrap_or_else(|| states.inner().zeros_like());
            by_state.push(Tensor::from_inner(by_part));
            accumulate(&mut sum, collect(self.scorer.model, &mut part));
        }
        if by_state.is_empty() {
            return sum;
        }
        let by_state = Tensor::cat(by_state, 0);
        let mut rest = (self.states * by_state).sum().backward();
        accumulate(&mut sum, collect(self.scorer.model, &mut rest));
        sum
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
mod tests {
    use super::*;
    use crate::{checkpoint, device};
    use burn::module::Module;

    /// The chain rule, cut into parts, gives what autograd gives in one piece; sums have another order.
    const OTHER_ORDER: f32 = 1e-5;

    #[test]
    fn the_gradient_in_parts_is_the_gradient() {
        let mut recording = device::storage().expect("a processor");
        recording.device = recording.device.autodiff();
        recording.precision = Some(fine_r1_core::weights::Precision::F32);
        let recognizer = checkpoint::load(None, &recording).expect("the embedded model");
        let (processor, model) = recognizer.into_parts();
        let prompts = ["Which one?", "What is this airliner, and why?"]
            .map(|text| processor.prompt(text, Vec::new()).expect("a prompt"));
        let answers = ["A320, with two engines.", "E-190"]
            .map(|text| processor.tokenizer().encode(text).expect("tokens"));
        let scored: Vec<Scored<'_>> =
            prompts.iter().zip(&answers).map(|(prompt, answer)| Scored { prompt, answer }).collect();
        let weights = |scale: f32| -> PerToken {
            answers.iter().map(|ids| ids.iter().map(|id| scale * ((id % 7) as f32 - 3.0)).collect()).collect()
        };
        let gradients = TokenGradients { log_prob: weights(0.1), entropy: weights(0.05) };
        let scorer = Scorer {
            model: &model,
            config: processor.config(),
            temperature: 0.8,
            with_entropy: true,
            chunk_rows: 3,
        };
        let pass = scorer.read(&scored);
        let scores = pass.scores(&model.valid());
        let found = pass.backward(&gradients);

        let whole = scorer.read(&scored);
        let (log_prob, entropy) = scorer.head(whole.states.clone(), &whole.targets);
        let entropy = entropy.expect("asked for");
        let read = |tensor: &Tensor<1>| tensor.to_data().iter::<f32>().collect::<Vec<f32>>();
        for (found, expected) in [(&scores.log_prob, &log_prob), (&scores.entropy, &entropy)] {
            for (found, expected) in found.concat().iter().zip(read(expected)) {
                assert!((found - expected).abs() < OTHER_ORDER, "{found}, expected {expected}");
            }
        }
        let weight = |rows: &PerToken| Tensor::<1>::from_floats(rows.concat().as_slice(), &model.device());
        let loss =
            (log_prob * weight(&gradients.log_prob)).sum() + (entropy * weight(&gradients.entropy)).sum();
        let expected = collect(&model, &mut loss.backward());
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        for (name, expected) in expected {
            let scale = expected.clone().abs().max().into_scalar::<f32>().max(1.0);
            let apart = (found[&name].clone() - expected).abs().max().into_scalar::<f32>();
            assert!(apart <= OTHER_ORDER * scale, "{name}: {apart} of {scale}");
        }
    }
}
