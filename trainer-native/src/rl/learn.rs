//! Moves the weights along the gradient of an objective.

use super::features::Features;
use super::gather::{Group, step_advantages};
use super::kl::{KlPlace, distance};
use super::learnt::Learnt;
use super::log_prob::{Scored, Scorer, TokenScores, chunk_rows};
use super::recipe::RlRecipe;
use super::reference::Reference;
use super::step::{Contrast, Item, Moment, Step};
use super::tokens::{PerToken, lengths, padded, rows};
use super::views::Picture;
use crate::optimizer::{AdamW, clip};
use crate::trunk::{Keep, is_trained};
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use std::collections::BTreeSet;

/// Everything that learning needs and does not change.
#[derive(Clone, Copy)]
pub struct Teacher<'run> {
    /// The run.
    pub recipe: &'run RlRecipe,
    /// Sizes of the model.
    pub config: &'run ModelConfig,
    /// What the policy is held near.
    pub reference: &'run Reference,
    /// Works side by side.
    pub workers: &'run Workers,
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
        let step = self.step(&model, groups, moment)?;
        let items = self.items(&model.valid(), groups, &step, &mut learnt)?;
        let per_group = recipe.answers_per_prompt();
        let mut updates = 0;
        for _ in 0..recipe.update.passes {
            for items in items.chunks(recipe.prompts_per_update() * per_group) {
                let (mut gradients, parts, mismatch) = self.gradient(&model, items, &step, updates)?;
                if updates == 0 {
                    learnt.mismatch = mismatch;
                }
                let norm = f64::from(clip(&mut gradients, recipe.update.max_grad_norm));
                updates += 1;
                if parts.total.is_finite() && norm.is_finite() {
                    learnt.parts += parts;
                    learnt.grad_norm += norm;
                    model = optimizer.update(model, gradients, moment.rates);
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
        learnt.advantages = items.into_iter().map(|item| item.advantage).collect();
        Ok((model, learnt))
    }

    fn step(&self, model: &VisionLanguageModel, groups: &[Group], moment: Moment) -> Result<Step> {
        let contrasts = self.contrasts(moment);
        if is_trained(&model.visual) {
            return Ok(Step { moment, contrasts, features: None });
        }
        let prompts: Vec<&Prompt> = groups
            .iter()
            .flat_map(|group| {
                let own = group.answers.iter().map(|answer| answer.condition);
                let others = contrasts.iter().map(|contrast| contrast.picture);
                let seen: BTreeSet<Picture> = own.chain(others).collect();
                seen.into_iter().map(|picture| &group.prompts[&picture])
            })
            .collect();
        let features = Some(self.look(&model.valid(), &prompts)?);
        Ok(Step { moment, contrasts, features })
    }

    fn look(&self, model: &VisionLanguageModel, prompts: &[&Prompt]) -> Result<Features> {
        Features::look(model, self.config, prompts, self.recipe.update.micro_batch_size, self.workers)
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
        step: &Step,
        learnt: &mut Learnt,
    ) -> Result<Vec<Item<'step>>> {
        let recipe = self.recipe;
        let known = step.features.as_ref();
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
        if recipe.scores_before_updates() {
            let old =
                self.score(plain, &items, |item| item.seen_with(item.answer.condition), known, false)?;
            let old = old.log_prob;
            items.iter_mut().zip(old).for_each(|(item, old)| item.old = Some(old));
        }
        if let Some(reference) = self.reference.model(plain) {
            let scores =
                self.score(&reference, &items, |item| item.seen_with(item.answer.condition), known, false)?;
            items.iter_mut().zip(scores.log_prob).for_each(|(item, row)| item.reference = Some(row));
        }
        if !recipe.parity.contrast_gradient {
            let with_entropy = recipe.loss(step.moment.kl_coefficient).needs_entropy();
            for contrast in &step.contrasts {
                let scores =
                    self.score(plain, &items, |item| item.seen_with(contrast.picture), known, with_entropy)?;
                let mut entropies = scores.entropy.into_iter();
                for (item, log_prob) in items.iter_mut().zip(scores.log_prob) {
                    let entropy = entropies.next().into_iter().collect();
                    item.contrasts.push(TokenScores { log_prob: vec![log_prob], entropy });
                }
            }
        }
        let penalties = match recipe.charges_in_reward() {
            true => self.penalties(&items, step.moment, learnt, &plain.device()),
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

    /// Scores all answers without gradient. Where the features of pictures are not `known`, every picture is
    /// looked at once, however many micro-batches show it.
    fn score<'item, 'step>(
        &self,
        model: &VisionLanguageModel,
        items: &'item [Item<'step>],
        seen: impl Fn(&'item Item<'step>) -> Scored<'item>,
        known: Option<&Features>,
        with_entropy: bool,
    ) -> Result<TokenScores> {
        let scored: Vec<Scored<'_>> = items.iter().map(seen).collect();
        let own = match known {
            Some(_) => None,
            None => Some(self.look(model, &scored.iter().map(|one| one.prompt).collect::<Vec<_>>())?),
        };
        let scorer = Scorer {
            model,
            config: self.config,
            features: known.or(own.as_ref()),
            temperature: self.recipe.rollout.temperature,
            with_entropy,
            chunk_rows: chunk_rows(self.config),
            keep: Keep::Activations,
        };
        let batches =
            self.recipe.update.micro_batches(&scored, |one| one.prompt.ids.len() + one.answer.len());
        let mut all = TokenScores::default();
        for scores in self.workers.map(batches, |batch| Ok(scorer.read(batch).scores(model)))? {
            all.log_prob.extend(scores.log_prob);
            all.entropy.extend(scores.entropy);
        }
        Ok(all)
    }
}
