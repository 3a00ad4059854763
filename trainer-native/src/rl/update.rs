//! How weights are moved, as a recipe says it.

use crate::optimizer::{AdamWConfig, MatrixRule, Rates};
use crate::sft::{Schedule, learning_rate};
use crate::trunk::Keep;
use serde::{Deserialize, Serialize};

/// The `[update]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UpdateSettings {
    /// Questions of an update; 0 takes all of a step.
    pub prompts_per_update: usize,
    /// How often a step's answers are gone through.
    pub passes: usize,
    /// Most answers of a micro-batch.
    pub micro_batch_size: usize,
    /// Most tokens of a micro-batch, prompts and padding included; 0 leaves it to the answers. One answer is
    /// always taken.
    pub micro_batch_tokens: usize,
    /// Compute what goes on inside blocks a second time for the way back instead of keeping it.
    pub gradient_checkpointing: bool,
    /// What moves the matrices: `adamw` or `muon`.
    pub optim: MatrixRule,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// The vision tower's own highest learning rate; `learning_rate` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision_tower_lr: Option<f64>,
    /// The merger's own highest learning rate; `learning_rate` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mm_projector_lr: Option<f64>,
    /// After the warm-up.
    pub lr_scheduler_type: Schedule,
    /// Steps in which the learning rate rises from zero.
    pub warmup_steps: usize,
    /// Share of a matrix that an update at learning rate 1 takes away.
    pub weight_decay: f32,
    /// Decay of AdamW's first moment.
    pub adam_beta1: f32,
    /// Decay of AdamW's second moment.
    pub adam_beta2: f32,
    /// Keeps AdamW's division finite.
    pub adam_epsilon: f32,
    /// Longest joint gradient; 0 does not clip.
    pub max_grad_norm: f64,
    /// Share of the average of all updates' weights that an update keeps; the average is what the run writes at
    /// its end. 0 keeps none.
    pub ema_decay: f64,
}

impl Default for UpdateSettings {
    fn default() -> Self {
        Self {
            prompts_per_update: 128,
            passes: 1,
            micro_batch_size: 4,
            micro_batch_tokens: 0,
            gradient_checkpointing: false,
            optim: MatrixRule::Adamw,
            learning_rate: 1e-6,
            vision_tower_lr: None,
            mm_projector_lr: None,
            lr_scheduler_type: Schedule::Constant,
            warmup_steps: 0,
            weight_decay: 1e-2,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            max_grad_norm: 1.0,
            ema_decay: 0.0,
        }
    }
}

impl UpdateSettings {
    /// What a pass keeps for the way back.
    #[must_use]
    pub fn keep(&self) -> Keep {
        if self.gradient_checkpointing { Keep::BlockInputs } else { Keep::Activations }
    }

    /// The learning rates of step `step` (from 0) of `total`.
    #[must_use]
    pub fn rates(&self, step: usize, total: usize) -> Rates {
        let rate = |peak| learning_rate(self.lr_scheduler_type, peak, self.warmup_steps, step, total);
        Rates {
            vision_tower: rate(self.vision_tower_lr.unwrap_or(self.learning_rate)),
            merger: rate(self.mm_projector_lr.unwrap_or(self.learning_rate)),
            language_model: rate(self.learning_rate),
        }
    }

    /// Constants of the optimizer.
    #[must_use]
    pub fn optimizer(&self) -> AdamWConfig {
        AdamWConfig {
            matrices: self.optim,
            beta_1: self.adam_beta1,
            beta_2: self.adam_beta2,
            epsilon: self.adam_epsilon,
            weight_decay: self.weight_decay,
            average_decay: self.ema_decay as f32,
        }
    }

    /// Cuts a list of answers into micro-batches, in order. `tokens` gives the length of an answer with its
    /// prompt.
    pub fn micro_batches<'items, T>(
        &self,
        items: &'items [T],
        tokens: impl Fn(&T) -> usize,
    ) -> Vec<&'items [T]> {
        let mut batches = Vec::new();
        let mut start = 0;
        while start < items.len() {
            let (mut end, mut longest) = (start, 0);
            while end < items.len() && end - start < self.micro_batch_size {
                longest = longest.max(tokens(&items[end]));
                let padded = longest * (end - start + 1);
                if end > start && self.micro_batch_tokens > 0 && padded > self.micro_batch_tokens {
                    break;
                }
                end += 1;
            }
            batches.push(&items[start..end]);
            start = end;
        }
        batches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_holds_so_many_answers_and_tokens() {
        let cut = |size: usize, tokens: usize| {
            let settings = UpdateSettings {
                micro_batch_size: size,
                micro_batch_tokens: tokens,
                ..UpdateSettings::default()
            };
            let batches = settings.micro_batches(&[3, 3, 9, 2, 2, 2, 20], |length| *length);
            batches.iter().map(|batch| batch.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(cut(3, 0), [vec![3, 3, 9], vec![2, 2, 2], vec![20]]);
        assert_eq!(cut(9, 10), [vec![3, 3], vec![9], vec![2, 2, 2], vec![20]]);
    }
}
