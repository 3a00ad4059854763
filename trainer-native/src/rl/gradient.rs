//! The gradient of an update: micro-batches side by side, joined in a fixed order.

use super::average::{Average, Totals};
use super::learn::Teacher;
use super::learnt::Mismatch;
use super::log_prob::{Scored, Scorer, TokenGradients, TokenScores, chunk_rows};
use super::objective::{ContrastScores, LossParts, LossSettings, TokenBatch, evaluate};
use super::seed::{Purpose, derived};
use super::step::{Contrast, Item, Step};
use super::tokens::lengths;
use super::views::Picture;
use crate::adapter::drop_out;
use crate::optimizer::{NamedGradients, accumulate};
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;

impl Teacher<'_> {
    /// The gradient of a step's update `update`, its terms, and how far the sampler's scores are from these.
    ///
    /// # Errors
    /// A worker failed.
    pub fn gradient(
        &self,
        model: &VisionLanguageModel,
        items: &[Item<'_>],
        step: &Step,
        update: usize,
    ) -> Result<(NamedGradients, LossParts, Mismatch)> {
        let settings = self.recipe.loss(step.moment.kl_coefficient);
        let batches = self.recipe.update.micro_batches(items, |item| {
            let seen = item.seen_with(item.answer.condition);
            seen.prompt.ids.len() + seen.answer.len()
        });
        let totals = Totals {
            answers: items.len(),
            tokens: items.iter().map(|item| item.answer.drawn.ids.len()).sum(),
            micro_batches: batches.len(),
        };
        let (mut gradients, mut parts) = (NamedGradients::new(), LossParts::default());
        let mut mismatch = Mismatch::default();
        let work = |(number, batch)| {
            // Leaves of its own, so that the graphs of two workers share no lock.
            let model = model.clone().fork(&model.device());
            let place = [step.moment.step as u64, update as u64, number as u64];
            let seed = derived(self.recipe.seed, Purpose::Dropout, &place);
            let model = drop_out(model, self.recipe.adapter.lora_dropout, seed, 0);
            self.micro_batch(&model, batch, step, totals, &settings)
        };
        let batches: Vec<_> = batches.into_iter().enumerate().collect();
        // No more gradients stand side by side than there are workers.
        for batches in batches.chunks(self.workers.count()) {
            let done = self.workers.map(batches.to_vec(), |batch| Ok(work(batch)))?;
            for (own, own_parts, own_mismatch) in done {
                accumulate(&mut gradients, own);
                parts += own_parts;
                mismatch.join(own_mismatch);
            }
        }
        Ok((gradients, parts, mismatch))
    }

    fn micro_batch(
        &self,
        model: &VisionLanguageModel,
        items: &[Item<'_>],
        step: &Step,
        totals: Totals,
        settings: &LossSettings<'_>,
    ) -> (NamedGradients, LossParts, Mismatch) {
        let recipe = self.recipe;
        let plain = model.valid();
        let scorer = Scorer {
            model,
            config: self.config,
            features: step.features.as_ref(),
            temperature: recipe.rollout.temperature,
            with_entropy: settings.needs_entropy(),
            chunk_rows: chunk_rows(self.config),
            keep: recipe.update.keep(),
        };
        let read = |picture: fn(&Item<'_>) -> Picture| {
            scorer.read(&items.iter().map(|item| item.seen_with(picture(item))).collect::<Vec<_>>())
        };
        let own_pass = read(|item| item.answer.condition);
        let own = own_pass.scores(&plain);
        let mut mismatch = Mismatch::default();
        // With dropout these scores are of another model than the sampler's.
        let is_samplers_model = recipe.adapter.lora_dropout == 0.0;
        for (item, scored) in items.iter().zip(&own.log_prob) {
            if is_samplers_model && item.answer.condition == item.answer.view {
                mismatch.note(&item.answer.drawn.log_probs, scored);
            }
        }
        let mut contrast_passes = Vec::new();
        let mut contrast_scores = Vec::new();
        for (index, contrast) in step.contrasts.iter().enumerate() {
            let scores = if recipe.parity.contrast_gradient {
                let seen: Vec<Scored<'_>> =
                    items.iter().map(|item| item.seen_with(contrast.picture)).collect();
                let pass = scorer.read(&seen);
                let scores = pass.scores(&plain);
                contrast_passes.push(pass);
                scores
            } else {
                let mut joined = TokenScores::default();
                for item in items {
                    joined.log_prob.extend(item.contrasts[index].log_prob.clone());
                    joined.entropy.extend(item.contrasts[index].entropy.clone());
                }
                joined
            };
            let Contrast { coefficient, left, .. } = *contrast;
            contrast_scores.push(ContrastScores { coefficient, left, scores });
        }
        let lengths = lengths(&own.log_prob);
        let longest = recipe.rollout.max_new_tokens;
        let token_average = match recipe.parity.average {
            Average::MicroBatchToken => Average::MicroBatchToken,
            _ => Average::Token,
        };
        let batch = TokenBatch {
            own,
            old: items.iter().map(|item| item.old.clone()).collect(),
            reference: items.iter().map(|item| item.reference.clone()).collect(),
            contrasts: contrast_scores,
            advantages: items.iter().map(|item| item.advantage.clone()).collect(),
            weights: recipe.parity.average.weights(&lengths, totals, longest),
            token_weights: token_average.weights(&lengths, totals, longest),
        };
        let evaluated = evaluate(&batch, settings, &plain.device());
        let mut gradients = own_pass.backward(&evaluated.own);
        let by_contrast: Vec<TokenGradients> = evaluated.contrasts.into_iter().flatten().collect();
        for (pass, by_contrast) in contrast_passes.into_iter().zip(&by_contrast) {
            accumulate(&mut gradients, pass.backward(by_contrast));
        }
        (gradients, evaluated.parts, mismatch)
    }
}
