//! What is minimised. One sum serves all objectives; the files beside this one say which terms of it
//! a paper has, which defaults, and where paper, released code and this program differ.
//!
//! For the answers `o`, their tokens `t`, `ℓ` the log-probability under the picture that an answer is learnt
//! from, `ℓ_c` the one under a contrast, and a mean `⟨ ⟩` as `[parity] average` says:
//!
//! ```text
//! L = ⟨surrogate(ℓ - ℓ_old, A)⟩ + β ⟨kl(ℓ, ℓ_ref)⟩ - Σ_c γ_c ⟨contrast(ℓ, ℓ_c)⟩ + η ⟨H⟩ + Σ_c η_c ⟨H_c⟩
//! ```

mod dapo;
mod grpo;
mod noisy_rollout;
mod papo;
mod tapo;

use super::contrast::contrast;
use super::entropy::{EntropyKind, EntropySettings, entropy};
use super::kl::{KlEstimator, distance};
use super::log_prob::{TokenGradients, TokenScores};
use super::parity::Parity;
use super::recipe::RlRecipe;
use super::surrogate::{PolicySettings, surrogate};
use super::tokens::{PerToken, column, lengths, mask, padded, rows};
use burn::tensor::{Device, Gradients, Tensor};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// The published objectives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Group relative policy optimisation.
    Grpo,
    /// Decoupled clip and dynamic sampling.
    Dapo,
    /// Perception-aware: depend on the picture.
    Papo,
    /// Answers to noisy pictures as well.
    NoisyRollout,
    /// Triplets: answers to positive pictures as well, and away from negative ones.
    Tapo,
}

impl Objective {
    /// Its name on the command line and in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::Dapo => "dapo",
            Self::Papo => "papo",
            Self::NoisyRollout => "noisy-rollout",
            Self::Tapo => "tapo",
        }
    }

    /// A recipe that has everything but data, checkpoint and folder.
    #[must_use]
    pub fn defaults(self) -> RlRecipe {
        let defaults = match self {
            Self::Grpo => grpo::defaults(),
            Self::Dapo => dapo::defaults(),
            Self::Papo => papo::defaults(),
            Self::NoisyRollout => noisy_rollout::defaults(),
            Self::Tapo => tapo::defaults(),
        };
        RlRecipe { objective: self, ..defaults }
    }
}

/// The terms of the sum.
#[derive(Debug, Clone, Copy)]
pub struct LossSettings<'run> {
    /// The surrogate and its clip.
    pub policy: &'run PolicySettings,
    /// Weight of the distance to the reference where it belongs to the loss.
    pub kl_coefficient: f64,
    /// How that distance is estimated.
    pub kl_estimator: KlEstimator,
    /// Weights of entropies.
    pub entropy: &'run EntropySettings,
    /// Variants of the terms.
    pub parity: &'run Parity,
}

impl LossSettings<'_> {
    /// Whether scores need entropies from logits.
    #[must_use]
    pub fn needs_entropy(&self) -> bool {
        self.parity.entropy == EntropyKind::Distribution
            && (self.entropy.own != 0.0 || self.entropy.contrast != 0.0)
    }
}

/// What one contrast says about the answers of a micro-batch.
#[derive(Debug, Clone)]
pub struct ContrastScores {
    /// Its weight now.
    pub coefficient: f64,
    /// The share of its weight that is left; its entropy fades along.
    pub left: f64,
    /// The answers' scores under its picture.
    pub scores: TokenScores,
}

/// Everything that is known about the answers of a micro-batch.
#[derive(Debug, Clone, Default)]
pub struct TokenBatch {
    /// Scores under the picture that they are learnt from.
    pub own: TokenScores,
    /// The same before the step's first update; where absent this is the first.
    pub old: Option<PerToken>,
    /// Under the reference model.
    pub reference: Option<PerToken>,
    /// Under other pictures.
    pub contrasts: Vec<ContrastScores>,
    /// Advantages.
    pub advantages: PerToken,
    /// A token's weight in means, for every answer.
    pub weights: Vec<f64>,
    /// The same where every token of the update, or of the micro-batch, weighs the same.
    pub token_weights: Vec<f64>,
}

/// The sum's terms, each as a mean and without its weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossParts {
    /// The sum itself.
    pub total: f64,
    /// The surrogate.
    pub policy: f64,
    /// Distance to the reference.
    pub kl: f64,
    /// Distances to contrasts.
    pub contrast: f64,
    /// Entropy.
    pub entropy: f64,
    /// Entropies under contrasts.
    pub contrast_entropy: f64,
    /// Share of tokens that the upper clip holds back.
    pub clip_high: f64,
    /// Share of tokens that the lower clip holds back.
    pub clip_low: f64,
    /// Share of tokens that the dual clip holds back.
    pub clip_dual: f64,
    /// Mean of `ℓ_old - ℓ`: how far the update has moved.
    pub shift: f64,
}

impl std::ops::AddAssign for LossParts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.policy += other.policy;
        self.kl += other.kl;
        self.contrast += other.contrast;
        self.entropy += other.entropy;
        self.contrast_entropy += other.contrast_entropy;
        self.clip_high += other.clip_high;
        self.clip_low += other.clip_low;
        self.clip_dual += other.clip_dual;
        self.shift += other.shift;
    }
}

impl LossParts {
    /// All terms divided by the same number.
    #[must_use]
    pub fn divided_by(self, count: f64) -> Self {
        Self {
            total: self.total / count,
            policy: self.policy / count,
            kl: self.kl / count,
            contrast: self.contrast / count,
            entropy: self.entropy / count,
            contrast_entropy: self.contrast_entropy / count,
            clip_high: self.clip_high / count,
            clip_low: self.clip_low / count,
            clip_dual: self.clip_dual / count,
            shift: self.shift / count,
        }
    }
}

/// A micro-batch's part of the loss and its derivatives.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// Its terms.
    pub parts: LossParts,
    /// By the scores under the picture that answers are learnt from.
    pub own: TokenGradients,
    /// By the scores under every contrast; nothing where `[parity] contrast_gradient` is off.
    pub contrasts: Vec<Option<TokenGradients>>,
}

/// Scores as tensors that derivatives are taken by.
struct Leaf {
    log_prob: Tensor<2>,
    entropy: Option<Tensor<2>>,
}

impl Leaf {
    fn new(scores: &TokenScores, device: &Device, is_tracked: bool) -> Self {
        let tensor = |rows: &PerToken| {
            let tensor = padded(rows, device);
            if is_tracked { tensor.require_grad() } else { tensor }
        };
        let entropy = (!scores.entropy.is_empty()).then(|| tensor(&scores.entropy));
        Self { log_prob: tensor(&scores.log_prob), entropy }
    }

    fn gradients(&self, gradients: &Gradients, lengths: &[usize]) -> TokenGradients {
        let read = |tensor: &Tensor<2>| {
            let gradient = tensor.grad(gradients).unwrap_or_else(|| tensor.clone().inner().zeros_like());
            rows(gradient, lengths)
        };
        TokenGradients {
            log_prob: read(&self.log_prob),
            entropy: self.entropy.as_ref().map(read).unwrap_or_default(),
        }
    }
}

/// Computes the loss of a micro-batch and its derivatives by every token's score.
///
/// # Panics
/// The batch's lists differ in length, or the device failed.
#[must_use]
pub fn evaluate(batch: &TokenBatch, settings: &LossSettings<'_>, device: &Device) -> Evaluated {
    let device = device.clone().autodiff();
    let parity = settings.parity;
    let lengths = lengths(&batch.own.log_prob);
    let own = Leaf::new(&batch.own, &device, true);
    let mask = mask(&lengths, &device);
    let mean = |tokens: Tensor<2>| (tokens * mask.clone() * column(&batch.weights, &device)).sum();
    let token_mean =
        |tokens: Tensor<2>| (tokens * mask.clone() * column(&batch.token_weights, &device)).sum();
    let read = |tensor: &Tensor<1>| f64::from(tensor.clone().into_scalar::<f32>());

    let old = match &batch.old {
        Some(old) => padded(old, &device),
        None => own.log_prob.clone().detach(),
    };
    let advantages = padded(&batch.advantages, &device);
    let tokens = surrogate(settings.policy, own.log_prob.clone(), old.clone(), advantages, mask.clone());
    let policy = mean(tokens.loss);
    let mut parts = LossParts {
        policy: read(&policy),
        clip_high: read(&token_mean(tokens.clip_high)),
        clip_low: read(&token_mean(tokens.clip_low)),
        clip_dual: read(&token_mean(tokens.clip_dual)),
        shift: read(&token_mean(old - own.log_prob.clone())),
        ..LossParts::default()
    };
    let mut loss = policy;

    if let Some(reference) = &batch.reference {
        let kl = mean(distance(settings.kl_estimator, own.log_prob.clone(), padded(reference, &device)));
        parts.kl = read(&kl);
        loss = loss + kl * settings.kl_coefficient;
    }
    let own_entropy = token_mean(entropy(parity.entropy, own.log_prob.clone(), own.entropy.clone()));
    parts.entropy = read(&own_entropy);
    loss = loss + own_entropy * settings.entropy.own;

    let others: Vec<Leaf> = batch
        .contrasts
        .iter()
        .map(|other| Leaf::new(&other.scores, &device, parity.contrast_gradient))
        .collect();
    for (contrast_scores, other) in batch.contrasts.iter().zip(&others) {
        let log_prob = other.log_prob.clone();
        let apart = mean(contrast(
            parity.contrast_ratio,
            parity.contrast_clamp,
            own.log_prob.clone(),
            log_prob.clone(),
        ));
        let undecided = token_mean(entropy(parity.entropy, log_prob, other.entropy.clone()));
        parts.contrast += read(&apart);
        parts.contrast_entropy += read(&undecided);
        loss = loss - apart * contrast_scores.coefficient
            + undecided * (settings.entropy.contrast * contrast_scores.left);
    }
    parts.total = read(&loss);
    let gradients = loss.backward();
    Evaluated {
        parts,
        own: own.gradients(&gradients, &lengths),
        contrasts: others
            .iter()
            .map(|other| parity.contrast_gradient.then(|| other.gradients(&gradients, &lengths)))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
