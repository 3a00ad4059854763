//! Cross-entropy of the tokens that the model is trained to write, without ever holding the scores of
//! all of them.
//!
//! Scores are `[tokens, vocab]`, 1.2 GB for 2,048 tokens of the published vocabulary, and several
//! times that with what their gradient needs. Here they stand in memory for some rows at a time; the
//! gradient of a row's scores is known in closed form, `softmax(scores) − onehot(target)`, so that a
//! chunk is done with before the next begins.

use crate::optimizer::{NamedGradients, accumulate, collect};
use burn::tensor::activation::log_softmax;
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Prompt, VisionLanguageModel};

/// Most scores (`rows × vocab`) that stand in memory at a time.
pub const MAX_SCORES: usize = 1 << 25;

/// Which rows of a pass predict which tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Rows of the pass's output, `[tokens, hidden]`.
    rows: Vec<i32>,
    /// The token that each row is to predict.
    targets: Vec<i32>,
}

impl Labels {
    /// `is_label[i][t]` says whether token `t` of prompt `i` is to be predicted from the tokens before it;
    /// prompts are padded on the right to the longest.
    #[must_use]
    pub fn new(prompts: &[&Prompt], is_label: &[&[bool]]) -> Self {
        let seq = prompts.iter().map(|prompt| prompt.ids.len()).max().unwrap_or(0);
        let mut labels = Self::default();
        for (index, (prompt, is_label)) in prompts.iter().zip(is_label).enumerate() {
            for token in 1..prompt.ids.len() {
                if is_label[token] {
                    labels.rows.push((index * seq + token - 1) as i32);
                    labels.targets.push(prompt.ids[token] as i32);
                }
            }
        }
        labels
    }

    /// How many tokens are to be predicted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }
}

/// A loss and its gradients.
#[derive(Debug)]
pub struct HeadLoss {
    /// Sum of the negative log-probabilities of all labels, `[1]`; zero of them sum to nothing.
    pub sum: Option<Tensor<1>>,
    /// Gradient of the weighted sum by the states, `[tokens, hidden]`.
    pub gradient: Tensor<2>,
    /// Gradients of the weighted sum by the head's weights.
    pub head: NamedGradients,
}

/// The loss of a pass's output, and the gradients of `weight` times that loss.
///
/// # Shapes
/// - `states`: `[tokens, hidden]`, outside of any graph
#[must_use]
pub fn head_loss(
    model: &VisionLanguageModel,
    states: &Tensor<2>,
    labels: &Labels,
    weight: f64,
    max_scores: usize,
) -> HeadLoss {
    let mut loss = HeadLoss { sum: None, gradient: states.zeros_like(), head: NamedGradients::new() };
    for chunk in Chunk::all(model, states, labels, max_scores) {
        let input = Tensor::from_inner(chunk.states).require_grad();
        let logits = model.logits(input.clone());
        let scores = Scores::new(logits.clone().inner(), chunk.targets.clone());
        loss.sum = Some(add(loss.sum, scores.loss()));
        let mut gradients = (logits * scores.gradient(weight)).sum().backward();
        if let Some(gradient) = input.grad_remove(&mut gradients) {
            loss.gradient = loss.gradient.select_assign(0, chunk.rows, gradient, IndexingUpdateOp::Add);
        }
        accumulate(&mut loss.head, collect(model, &mut gradients));
    }
    loss
}

/// The loss alone, with the graph that made it where the model records one: the sum of the negative
/// log-probabilities of all labels, `[1]`.
///
/// With a graph, the scores of all labels are kept for the way back; [`head_loss`] is for that.
#[must_use]
pub fn token_loss(
    model: &VisionLanguageModel,
    config: &ModelConfig,
    prompts: &[&Prompt],
    is_label: &[&[bool]],
) -> Tensor<1> {
    let states = model.read(model.embed(prompts, PaddingSide::Right, config), None, config);
    let [batch, seq, hidden] = states.dims();
    let states = states.reshape([batch * seq, hidden]);
    Chunk::all(model, &states, &Labels::new(prompts, is_label), MAX_SCORES)
        .map(|chunk| log_softmax(model.logits(chunk.states), 1).gather(1, chunk.targets).sum().neg())
        .reduce(|sum, loss| sum + loss)
        .unwrap_or_else(|| states.sum() * 0.0)
}

fn add(sum: Option<Tensor<1>>, loss: Tensor<1>) -> Tensor<1> {
    match sum {
        Some(sum) => sum + loss,
        None => loss,
    }
}

/// Some labels and what they are predicted from.
struct Chunk {
    rows: Tensor<1, Int>,
    /// `[rows, hidden]`
    states: Tensor<2>,
    /// `[rows, 1]`
    targets: Tensor<2, Int>,
}

impl Chunk {
    fn all<'pass>(
        model: &VisionLanguageModel,
        states: &'pass Tensor<2>,
        labels: &'pass Labels,
        max_scores: usize,
    ) -> impl Iterator<Item = Self> + 'pass {
        let [vocab, _] = model.model.embed_tokens.weight.dims();
        let rows = (max_scores / vocab).max(1);
        let device = states.device();
        labels.rows.chunks(rows).zip(labels.targets.chunks(rows)).map(move |(rows, targets)| {
            let data = TensorData::new(targets.to_vec(), [targets.len(), 1]);
            let rows = Tensor::<1, Int>::from_ints(rows, &device);
            Self {
                states: states.clone().select(0, rows.clone()),
                targets: Tensor::from_data(data, &device),
                rows,
            }
        })
    }
}

/// Scores of some rows on their way to a softmax.
struct Scores {
    targets: Tensor<2, Int>,
    /// `exp(scores − largest)`, `[rows, vocab]`
    exponentials: Tensor<2>,
    /// Their sums, `[rows, 1]`
    totals: Tensor<2>,
    /// `score of the target − largest`, `[rows, 1]`
    reached: Tensor<2>,
}

impl Scores {
    fn new(logits: Tensor<2>, targets: Tensor<2, Int>) -> Self {
        let largest = logits.clone().max_dim(1);
        let shifted = logits - largest;
        let reached = shifted.clone().gather(1, targets.clone());
        let exponentials = shifted.exp();
        let totals = exponentials.clone().sum_dim(1);
        Self { targets, exponentials, totals, reached }
    }

    fn loss(&self) -> Tensor<1> {
        (self.totals.clone().log() - self.reached.clone()).sum()
    }

    /// `weight · (softmax − onehot)`
    fn gradient(self, weight: f64) -> Tensor<2> {
        let hit = self.totals.full_like(-weight);
        let softmax = self.exponentials * (self.totals.recip() * weight);
        softmax.scatter(1, self.targets, hit, IndexingUpdateOp::Add)
    }
}

#[cfg(test)]
mod tests;
