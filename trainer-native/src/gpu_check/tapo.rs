//! A step of TAPO without files: answers to two pictures of each question, held against a third.

use super::subject::{photo, question};
use crate::optimizer::AdamW;
use crate::rl::{
    Answer, Drawer, Drawn, Group, Learnt, Moment, Objective, Picture, Reference, RlRecipe, Teacher, Verdict,
};
use crate::workers::Workers;
use anyhow::{Context, Result};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::Processor;
use std::collections::BTreeMap;

/// Pictures of a question: those that answers are drawn from, and the one that they are held against.
const PICTURES: [Picture; 3] = [Picture::Anchor, Picture::Positive, Picture::Negative];
/// The two that answers are drawn from.
const VIEWS: [Picture; 2] = [Picture::Anchor, Picture::Positive];

/// How large a step is.
#[derive(Debug, Clone, Copy)]
pub struct StepSize {
    /// Questions.
    pub questions: usize,
    /// Answers to each of a question's two pictures.
    pub answers: usize,
    /// Tokens of an answer, where it does not end itself.
    pub new_tokens: usize,
    /// Answers of a micro-batch.
    pub micro_batch: usize,
    /// Side of the photos, in pixels.
    pub photo_side: u32,
}

/// A step that can be made again and again.
pub struct Round<'run> {
    recipe: RlRecipe,
    size: StepSize,
    processor: &'run Processor,
    prompts: Vec<BTreeMap<Picture, Prompt>>,
    workers: Workers,
}

impl<'run> Round<'run> {
    /// TAPO's defaults; `change` may alter them.
    ///
    /// # Errors
    /// A photo is too small for the model, or the system refuses a thread.
    pub fn new(
        processor: &'run Processor,
        size: StepSize,
        change: impl FnOnce(&mut RlRecipe),
    ) -> Result<Self> {
        let mut recipe = Objective::Tapo.defaults();
        recipe.filter.enabled = false;
        for view in recipe.views.values_mut() {
            view.answers = size.answers;
        }
        recipe.rollout.prompts_per_step = size.questions;
        recipe.rollout.max_new_tokens = size.new_tokens;
        recipe.rollout.decode_batch = 2 * size.questions * size.answers;
        recipe.update.prompts_per_update = 0;
        recipe.update.micro_batch_size = size.micro_batch;
        change(&mut recipe);
        let pictures = |question_number: u32| {
            let first = PICTURES.len() as u32 * question_number;
            PICTURES
                .iter()
                .zip(first..)
                .map(|(picture, number)| -> Result<(Picture, Prompt)> {
                    let photo = photo(number, size.photo_side, size.photo_side);
                    Ok((*picture, question(processor, &photo, &[])?))
                })
                .collect::<Result<BTreeMap<_, _>>>()
        };
        let prompts = (0..size.questions as u32).map(pictures).collect::<Result<_>>()?;
        Ok(Self { recipe, size, processor, prompts, workers: Workers::new(1)? })
    }

    /// Draws the answers; every other one counts as right.
    ///
    /// # Errors
    /// A prompt does not fit the context, or the device failed.
    pub fn draw(&self, model: &VisionLanguageModel) -> Result<Vec<Group>> {
        let rollout = &self.recipe.rollout;
        let drawer = Drawer {
            model,
            processor: self.processor,
            workers: &self.workers,
            temperature: rollout.temperature,
            top_p: rollout.top_p,
            max_new_tokens: rollout.max_new_tokens,
            decode_batch: rollout.decode_batch,
        };
        let mut groups: Vec<Group> = self
            .prompts
            .iter()
            .enumerate()
            .map(|(row, prompts)| Group { row, prompts: prompts.clone(), answers: Vec::new() })
            .collect();
        for view in VIEWS {
            let prompts: Vec<&Prompt> = self
                .prompts
                .iter()
                .map(|prompts| prompts.get(&view).context("a picture"))
                .collect::<Result<_>>()?;
            let drawn = drawer.draw(&prompts, self.size.answers, |prompt| prompt)?;
            for (group, drawn) in groups.iter_mut().zip(drawn) {
                group.answers.extend((0..).zip(drawn).map(|(number, drawn)| judged(view, number, drawn)));
            }
        }
        Ok(groups)
    }

    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn optimizer(&self) -> AdamW {
        AdamW::new(self.recipe.update.optimizer())
    }

    /// Moves the weights by what the groups teach.
    ///
    /// # Errors
    /// A worker failed.
    pub fn learn(
        &self,
        model: VisionLanguageModel,
        optimizer: &mut AdamW,
        groups: &[Group],
    ) -> Result<(VisionLanguageModel, Learnt)> {
        let teacher = Teacher {
            recipe: &self.recipe,
            config: self.processor.config(),
            reference: &Reference::Absent,
            workers: &self.workers,
        };
        let rates = self.recipe.update.rates(0, 1);
        teacher.learn(model, optimizer, groups, Moment { step: 0, total: 1, rates, kl_coefficient: 0.0 })
    }
}

/// Tokens of all answers with their prompts: what the published throughput counts.
#[must_use]
pub fn tokens(groups: &[Group]) -> usize {
    let answers = groups.iter().flat_map(|group| group.answers.iter().map(move |answer| (group, answer)));
    answers.map(|(group, answer)| group.prompts[&answer.view].ids.len() + answer.drawn.ids.len()).sum()
}

/// Tokens of all answers.
#[must_use]
pub fn drawn_tokens(groups: &[Group]) -> usize {
    groups.iter().flat_map(|group| &group.answers).map(|answer| answer.drawn.ids.len()).sum()
}

fn judged(view: Picture, number: usize, drawn: Drawn) -> Answer {
    let overall = f64::from(u8::from(number.is_multiple_of(2)));
    let verdict = Verdict { overall, parts: [("accuracy".to_owned(), overall)].into() };
    Answer { view, condition: view, drawn, verdict, greedy: 0.0 }
}
