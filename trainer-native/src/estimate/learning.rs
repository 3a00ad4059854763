//! How much every step of reinforcement learning puts through the network: its pictures, its passes with and
//! without gradient. Answers are taken to be of one length, and no question to be left out.

use super::loads::Size;
use super::{Load, Rollouts};
use crate::dataset::epoch_order;
use crate::rl::{Measure, Picture, Question, RlRecipe, measure, total_steps};
use anyhow::Result;
use burn::tensor::Device;
use fine_r1_core::image::Grid;
use fine_r1_core::recognizer::Processor;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// What steps are made of.
#[derive(Debug)]
pub struct RlLoads {
    /// Micro-batches of every update of the first epoch, or of the run where that is shorter.
    pub updates: Vec<Vec<Load>>,
    /// Updates of a step.
    pub updates_per_step: usize,
    /// Updates in which a step's answers are gone through once.
    pub updates_per_pass: usize,
    /// How often a step reads all of its answers without gradient.
    pub readings: usize,
    /// How answers are drawn.
    pub rollouts: Rollouts,
    /// Bytes of the largest step's pictures while its answers are drawn.
    pub drawn_pictures: usize,
    /// The same while it is learnt from.
    pub learnt_pictures: usize,
    /// Bytes of what the vision tower makes of one picture of every question of a step.
    pub features: usize,
    /// Whether features stay for all passes of a step.
    pub keeps_features: bool,
    /// Distinct pictures that a step learns from, in patches: the mean over steps.
    pub patches_per_step: f64,
}

/// A question with every picture that a run looks at.
type Measured = BTreeMap<Picture, Measure>;

/// What a recipe makes of its questions.
pub struct Reckoning<'run> {
    /// The run.
    pub recipe: &'run RlRecipe,
    /// The data.
    pub questions: &'run [Question],
    /// Tokenizer and sizes.
    pub processor: &'run Processor,
    /// Where layouts are made.
    pub device: &'run Device,
}

impl Reckoning<'_> {
    /// The loads of answers of so many tokens.
    ///
    /// # Errors
    /// A picture cannot be read, or a row lacks one.
    pub fn loads(&self, answer_tokens: usize) -> Result<RlLoads> {
        let Self { recipe, questions, processor, .. } = *self;
        let seen: BTreeSet<Picture> =
            recipe.shown().into_iter().chain(recipe.active_contrasts().map(|(picture, _)| picture)).collect();
        let measured: Vec<Measured> = questions
            .par_iter()
            .map(|question| {
                seen.iter().map(|picture| Ok((*picture, measure(question, *picture, processor)?))).collect()
            })
            .collect::<Result<_>>()?;
        let steps = self.steps();
        let in_step = |rows: &[usize]| -> Vec<&Measured> { rows.iter().map(|row| &measured[*row]).collect() };
        let updates = steps
            .iter()
            .flat_map(|rows| rows.chunks(recipe.prompts_per_update()))
            .map(|rows| self.update(&in_step(rows), answer_tokens))
            .collect();

        let patch_bytes = processor.config().vision.patch_dim() * size_of::<f32>();
        let feature_bytes = processor.config().text.hidden_size * size_of::<f32>();
        let merge_area = processor.config().vision.merge_area();
        let most = |pictures: &BTreeSet<Picture>| -> usize {
            let patches = |rows: &Vec<usize>| patches(&in_step(rows), pictures);
            steps.iter().map(patches).max().unwrap_or(0)
        };
        let shown: BTreeSet<Picture> = recipe.shown().into_iter().collect();
        let learnt: BTreeSet<Picture> = self.learnt().collect();
        let frozen = recipe.frozen();
        let keeps_features = frozen.vision_tower && frozen.merger;
        let looked = if keeps_features {
            learnt.iter().chain(&seen).copied().collect()
        } else {
            learnt.iter().take(1).copied().collect()
        };
        let again = match recipe.filter.enabled {
            true => recipe.prompts_per_try() as f64 / recipe.rollout.prompts_per_step as f64,
            false => 0.0,
        };
        let contrasts = recipe.active_contrasts().count();
        let before = usize::from(recipe.scores_before_updates()) + usize::from(recipe.needs_reference());
        Ok(RlLoads {
            updates,
            updates_per_step: recipe.updates_per_step(),
            updates_per_pass: recipe.updates_per_step() / recipe.update.passes,
            readings: before + if recipe.parity.contrast_gradient { 0 } else { contrasts },
            rollouts: Rollouts::of(self, &measured),
            drawn_pictures: (most(&shown) as f64 * (1.0 + again)) as usize * patch_bytes,
            learnt_pictures: most(&seen) * patch_bytes,
            features: most(&looked) / merge_area * feature_bytes,
            keeps_features,
            patches_per_step: steps.iter().map(|rows| patches(&in_step(rows), &learnt)).sum::<usize>() as f64
                / steps.len() as f64,
        })
    }

    /// Rows of the questions of every step.
    fn steps(&self) -> Vec<Vec<usize>> {
        let (total, per_step) = (self.questions.len(), self.recipe.rollout.prompts_per_step);
        let steps = total_steps(self.recipe, self.questions).min(total.div_ceil(per_step));
        let order = epoch_order(total, self.recipe.seed, 0);
        let row = |place: usize| order[place % total];
        (0..steps).map(|step| (step * per_step..(step + 1) * per_step).map(row).collect()).collect()
    }

    /// Pictures that answers are learnt from.
    fn learnt(&self) -> impl Iterator<Item = Picture> {
        self.recipe.active_views().map(|(picture, view)| view.condition(picture))
    }

    /// The micro-batches of an update.
    fn update(&self, groups: &[&Measured], answer_tokens: usize) -> Vec<Load> {
        let recipe = self.recipe;
        let items: Vec<(usize, Picture)> = (0..groups.len())
            .flat_map(|group| {
                recipe.active_views().flat_map(move |(picture, view)| {
                    std::iter::repeat_n((group, view.condition(picture)), view.answers)
                })
            })
            .collect();
        let measure = |(group, picture): &(usize, Picture)| &groups[*group][picture];
        let tokens = |item: &(usize, Picture)| measure(item).tokens + answer_tokens;
        let contrasts = recipe.active_contrasts().count();
        let batches = recipe.update.micro_batches(&items, tokens);
        batches
            .into_iter()
            .map(|items| {
                let size = |item| Size { tokens: tokens(item), labels: answer_tokens, grids: Vec::new() };
                let sizes: Vec<Size> = items.iter().map(size).collect();
                // A picture that several answers share is looked at once.
                let distinct: BTreeSet<&(usize, Picture)> = items.iter().collect();
                let grids = distinct.into_iter().flat_map(|item| measure(item).grids.iter().copied());
                let load = Load::new(self.processor, &sizes, grids.collect(), self.device);
                Load { passes: 1 + if recipe.parity.contrast_gradient { contrasts } else { 0 }, ..load }
            })
            .collect()
    }
}

/// Patches of some pictures of all questions.
fn patches(groups: &[&Measured], pictures: &BTreeSet<Picture>) -> usize {
    let of = |group: &Measured| -> usize {
        pictures.iter().flat_map(|picture| &group[picture].grids).map(Grid::patches).sum()
    };
    groups.iter().map(|group| of(group)).sum()
}
