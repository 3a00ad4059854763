//! Moves the weights along the gradient of an objective.

use super::average::{Average, Totals};
use super::gather::{Answer, Group, step_advantages};
use super::kl::{KlPlace, distance};
use super::learnt::{Learnt, Mismatch};
use super::log_prob::{CHUNK_ROWS, Scored, Scorer, TokenGradients, TokenScores};
use super::objective::{ContrastScores, LossParts, LossSettings, TokenBatch, evaluate};
use super::recipe::RlRecipe;
use super::tokens::{PerToken, lengths, padded, rows};
use super::views::Picture;
use crate::optimizer::{AdamW, NamedGradients, accumulate, clip};
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;

/// Everything that learning needs and does not change.
#[derive(Clone, Copy)]
pub struct Teacher<'run> {
    /// The run.
    pub recipe: &'run RlRecipe,
    /// Sizes of the model.
    pub config: &'run ModelConfig,
    /// The model that the policy is held near, without recording.
    pub reference: Option<&'run VisionLanguageModel>,
    /// Works side by side.
    pub workers: &'run Workers,
}

/// Where a step stands in its run.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Number of the step, from 0.
    pub step: usize,
    /// Steps of the run.
    pub total: usize,
    /// Learning rate.
    pub learning_rate: f64,
    /// Weight of the distance to the reference.
    pub kl_coefficient: f64,
}

/// An answer with everything that is known before the updates.
struct Item<'step> {
    group: &'step Group,
    answer: &'step Answer,
    advantage: Vec<f32>,
    old: Option<Vec<f32>>,
    reference: Option<Vec<f32>>,
    /// Scores under every contrast; nothing where they are computed anew with gradient.
    contrasts: Vec<TokenScores>,
}

impl Item<'_> {
    fn seen_with(&self, picture: Picture) -> Scored<'_> {
        Scored { prompt: &self.group.prompts[&picture], answer: &self.answer.drawn.ids }
    }
}

/// A contrast that is computed in this step.
#[derive(Debug, Clone, Copy)]
struct Contrast {
    picture: Picture,
    coefficient: f64,
    left: f64,
}

impl Teacher<'_> {
    /// Makes the updates of a step.
    ///
    /// # Errors
    /// A worker failed.
    pub fn learn(
        &self,
        mut model: VisionLanguageModel,
        optimizer: &mut AdamW,
        groups: &[Group],
        moment: Moment,
    ) -> Result<(VisionLanguageModel, Learnt)> {
        let recipe = self.recipe;
        let mut learnt = Learnt::default();
        let contrasts = self.contrasts(moment);
        let items = self.items(&model.valid(), groups, &contrasts, moment, &mut learnt)?;
        let per_group = recipe.answers_per_prompt();
        let mut updates = 0;
        for _ in 0..recipe.update.passes {
            for items in items.chunks(recipe.prompts_per_update() * per_group) {
                let (mut gradients, parts, mismatch) = self.gradient(&model, items, &contrasts, moment)?;
                if updates == 0 {
                    learnt.mismatch = mismatch;
                }
                let norm = f64::from(clip(&mut gradients, recipe.update.max_grad_norm));
                updates += 1;
                if parts.total.is_finite() && norm.is_finite() {
                    learnt.parts += parts;
                    learnt.grad_norm += norm;
                    model = optimizer.update(model, gradients, moment.learning_rate);
                } else {
                    learnt.skipped += 1;
                }
            }
        }
        let made = (updates - learnt.skipped).max(1) as f64;
        learnt.parts = learnt.parts.divided_by(made);
        learnt.grad_norm /= made;
        if recipe.kl.place == KlPlace::Loss {
            learnt.kl = learnt.parts.kl;
        }
        Ok((model, learnt))
    }

    fn contrasts(&self, moment: Moment) -> Vec<Contrast> {
        self.recipe
            .active_contrasts()
            .map(|(picture, view)| {
                let coefficient = view.annealing.map_or(view.coefficient, |annealing| {
                    annealing.at(view.coefficient, moment.step, moment.total)
                });
                let left = if view.coefficient == 0.0 { 0.0 } else { coefficient / view.coefficient };
                Contrast { picture, coefficient, left }
            })
            .collect()
    }

    /// Everything that is computed once a step, before its updates and without gradient.
    fn items<'step>(
        &self,
        plain: &VisionLanguageModel,
        groups: &'step [Group],
        contrasts: &[Contrast],
        moment: Moment,
        learnt: &mut Learnt,
    ) -> Result<Vec<Item<'step>>> {
        let recipe = self.recipe;
        let mut items: Vec<Item<'step>> = groups
            .iter()
            .flat_map(|group| {
                group.answers.iter().map(move |answer| Item {
                    group,
                    answer,
                    advantage: Vec::new(),
                    old: None,
                    reference: None,
                    contrasts: Vec::new(),
                })
            })
            .collect();
        let charged_in_reward = self.reference.is_some() && recipe.kl.place == KlPlace::Reward;
        // A step of one update begins where its update does.
        if recipe.updates_per_step() > 1 || charged_in_reward {
            let old =
                self.score(plain, &items, |item| item.seen_with(item.answer.condition), false)?.log_prob;
            items.iter_mut().zip(old).for_each(|(item, old)| item.old = Some(old));
        }
        if let Some(reference) = self.reference {
            let scores =
                self.score(reference, &items, |item| item.seen_with(item.answer.condition), false)?;
            items.iter_mut().zip(scores.log_prob).for_each(|(item, row)| item.reference = Some(row));
        }
        if !recipe.parity.contrast_gradient {
            let with_entropy = recipe.loss(moment.kl_coefficient).needs_entropy();
            for contrast in contrasts {
                let scores =
                    self.score(plain, &items, |item| item.seen_with(contrast.picture), with_entropy)?;
                let mut entropies = scores.entropy.into_iter();
                for (item, log_prob) in items.iter_mut().zip(scores.log_prob) {
                    let entropy = entropies.next().into_iter().collect();
                    item.contrasts.push(TokenScores { log_prob: vec![log_prob], entropy });
                }
            }
        }
        let penalties = match charged_in_reward {
            true => self.penalties(&items, moment, learnt, &plain.device()),
            false => Vec::new(),
        };
        let advantages = step_advantages(recipe.advantage, groups, &penalties);
        items.iter_mut().zip(advantages).for_each(|(item, advantage)| item.advantage = advantage);
        Ok(items)
    }

    /// What the distance to the reference takes from every token's reward.
    fn penalties(
        &self,
        items: &[Item<'_>],
        moment: Moment,
        learnt: &mut Learnt,
        device: &Device,
    ) -> PerToken {
        let old: PerToken = items.iter().filter_map(|item| item.old.clone()).collect();
        let reference: PerToken = items.iter().filter_map(|item| item.reference.clone()).collect();
        let apart = distance(self.recipe.kl.estimator, padded(&old, device), padded(&reference, device));
        let mut apart = rows(apart, &lengths(&old));
        let tokens: usize = apart.iter().map(Vec::len).sum();
        let sum: f64 = apart.iter().flatten().map(|value| f64::from(*value)).sum();
        learnt.kl = sum / tokens.max(1) as f64;
        apart.iter_mut().flatten().for_each(|value| *value *= moment.kl_coefficient as f32);
        apart
    }

    /// Scores all answers without gradient.
    fn score<'item>(
        &self,
        model: &VisionLanguageModel,
        items: &'item [Item<'_>],
        seen: impl Fn(&'item Item<'_>) -> Scored<'item>,
        with_entropy: bool,
    ) -> Result<TokenScores> {
        let scorer = Scorer {
            model,
            config: self.config,
            temperature: self.recipe.rollout.temperature,
            with_entropy,
            chunk_rows: CHUNK_ROWS,
        };
        let scored: Vec<Scored<'_>> = items.iter().map(seen).collect();
        let batches =
            self.recipe.update.micro_batches(&scored, |one| one.prompt.ids.len() + one.answer.len());
        let mut all = TokenScores::default();
        for scores in self.workers.map(batches, |batch| Ok(scorer.read(batch).scores(model)))? {
            all.log_prob.extend(scores.log_prob);
            all.entropy.extend(scores.entropy);
        }
        Ok(all)
    }

    /// The gradient of an update: micro-batches side by side, joined in a fixed order.
    fn gradient(
        &self,
        model: &VisionLanguageModel,
        items: &[Item<'_>],
        contrasts: &[Contrast],
        moment: Moment,
    ) -> Result<(NamedGradients, LossParts, Mismatch)> {
        let settings = self.recipe.loss(moment.kl_coefficient);
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
        // No more gradients stand side by side than there are workers.
        for batches in batches.chunks(self.workers.count()) {
            let done = self.workers.map(batches.to_vec(), |batch| {
                Ok(self.micro_batch(model, batch, contrasts, totals, &settings))
            })?;
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
        contrasts: &[Contrast],
        totals: Totals,
        settings: &LossSettings<'_>,
    ) -> (NamedGradients, LossParts, Mismatch) {
        let recipe = self.recipe;
        let plain = model.valid();
        // Leaves of its own, so that the graphs of two workers share no lock.
        let model = model.clone().fork(&model.device());
        let scorer = Scorer {
            model: &model,
            config: self.config,
            temperature: recipe.rollout.temperature,
            with_entropy: settings.needs_entropy(),
            chunk_rows: CHUNK_ROWS,
        };
        let read = |picture: fn(&Item<'_>) -> Picture| {
            scorer.read(&items.iter().map(|item| item.seen_with(picture(item))).collect::<Vec<_>>())
        };
        let own_pass = read(|item| item.answer.condition);
        let own = own_pass.scores(&plain);
        let mut mismatch = Mismatch::default();
        for (item, scored) in items.iter().zip(&own.log_prob) {
            if item.answer.condition == item.answer.view {
                mismatch.note(&item.answer.drawn.log_probs, scored);
            }
        }
        let mut contrast_passes = Vec::new();
        let mut contrast_scores = Vec::new();
        for (index, contrast) in contrasts.iter().enumerate() {
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
