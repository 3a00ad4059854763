//! Gathers the groups of a step: questions, their answers, and what those are worth.

use super::advantage::{Estimator, advantages};
use super::question::Question;
use super::recipe::RlRecipe;
use super::reward::{Answered, Jury, Verdict, find_labels};
use super::rollout::{Drawer, Drawn};
use super::seed::{Purpose, derived};
use super::tokens::PerToken;
use super::views::{Picture, PictureMaker};
use crate::dataset::epoch_order;
use crate::workers::Workers;
use anyhow::{Result, anyhow};
use fine_r1_core::model::Prompt;
use fine_r1_core::reasoning::Transcript;
use std::collections::BTreeMap;

/// An answer and what became of it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The picture that it was drawn from.
    pub view: Picture,
    /// The picture that it is learnt from.
    pub condition: Picture,
    /// The answer itself.
    pub drawn: Drawn,
    /// What it is worth.
    pub verdict: Verdict,
    /// What the likeliest answer to the same picture is worth, where it was asked for.
    pub greedy: f64,
}

/// A question with all its answers.
#[derive(Debug)]
pub struct Group {
    /// Number of the question in the data.
    pub row: usize,
    /// The question with every picture that it is shown with.
    pub prompts: BTreeMap<Picture, Prompt>,
    /// Answers, view by view.
    pub answers: Vec<Answer>,
}

/// What a step is made from.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The groups that are learnt from.
    pub groups: Vec<Group>,
    /// What all answers were worth, also those of groups that were left out.
    pub verdicts: Vec<Verdict>,
    /// What the best answer of every group was worth, added up.
    pub best_sum: f64,
    /// Answers among them that are right.
    pub right: usize,
    /// Right answers that name several classes.
    pub several_names: usize,
    /// Tokens of all answers.
    pub tokens: usize,
    /// Groups that were drawn.
    pub drawn: usize,
    /// Groups that taught something, also those beyond what a step takes.
    pub kept: usize,
    /// Rounds of drawing.
    pub tries: usize,
    /// Where the next step begins to read.
    pub cursor: u64,
}

impl Gathered {
    fn note_best(&mut self, group: &Group) {
        let all = group.answers.iter().map(|answer| answer.verdict.overall);
        self.best_sum += all.reduce(f64::max).unwrap_or_default();
    }

    fn note_names(&mut self, group: &Group, labels: &[String]) {
        let right = group.answers.iter().filter(|answer| answer.verdict.part("accuracy") == Some(1.0));
        for answer in right {
            self.right += 1;
            let said = Transcript::parse(&answer.drawn.text).answer;
            self.several_names += usize::from(find_labels(&said, labels).len() > 1);
        }
    }
}

/// Everything that gathering needs and does not change.
#[derive(Clone, Copy)]
pub struct Gatherer<'run> {
    /// The run.
    pub recipe: &'run RlRecipe,
    /// The data.
    pub questions: &'run [Question],
    /// All true answers, each once.
    pub labels: &'run [String],
    /// Makes pictures.
    pub pictures: PictureMaker<'run>,
    /// Draws answers.
    pub drawer: Drawer<'run>,
    /// Works side by side.
    pub workers: &'run Workers,
}

impl Gatherer<'_> {
    /// Draws and judges until a step has its groups, or the tries are over. `cursor` counts the questions
    /// that the run has read, so that a run can go on in the middle of an epoch.
    ///
    /// # Errors
    /// A picture cannot be read, a judge failed, or the device did.
    pub fn gather(&self, jury: &mut Jury, step: usize, cursor: u64) -> Result<Gathered> {
        let mut gathered = Gathered { cursor, ..Gathered::default() };
        let wanted = self.recipe.rollout.prompts_per_step;
        while gathered.groups.len() < wanted && gathered.tries < self.recipe.filter.max_tries {
            let count = match self.recipe.filter.enabled {
                true => self.recipe.prompts_per_try(),
                false => self.recipe.prompts_per_try().min(wanted - gathered.groups.len()),
            };
            let rows = self.next_rows(&mut gathered.cursor, count);
            let groups = self.groups(jury, step, gathered.tries, &rows)?;
            gathered.tries += usize::from(self.recipe.filter.enabled);
            gathered.drawn += groups.len();
            for group in groups {
                gathered.verdicts.extend(group.answers.iter().map(|answer| answer.verdict.clone()));
                gathered.note_best(&group);
                gathered.note_names(&group, self.labels);
                gathered.tokens += group.answers.iter().map(|answer| answer.drawn.ids.len()).sum::<usize>();
                let key = &self.recipe.filter.key;
                let values: Vec<f64> =
                    group.answers.iter().map(|answer| answer.verdict.part(key).unwrap_or_default()).collect();
                if self.recipe.filter.keeps(&values) {
                    gathered.kept += 1;
                    gathered.groups.push(group);
                }
            }
        }
        gathered.groups.truncate(wanted);
        let contrasts: Vec<Picture> = self.recipe.active_contrasts().map(|(picture, _)| picture).collect();
        let work: Vec<(usize, Picture)> = gathered
            .groups
            .iter()
            .flat_map(|group| contrasts.iter().map(|picture| (group.row, *picture)))
            .collect();
        let mut prompts =
            self.workers.map(work, |(row, picture)| self.prompt(row, picture, step))?.into_iter();
        for group in &mut gathered.groups {
            for picture in &contrasts {
                group.prompts.extend(prompts.next().map(|prompt| (*picture, prompt)));
            }
        }
        Ok(gathered)
    }

    fn next_rows(&self, cursor: &mut u64, count: usize) -> Vec<usize> {
        let total = self.questions.len() as u64;
        let mut order = (u64::MAX, Vec::new());
        (0..count)
            .map(|_| {
                let epoch = *cursor / total;
                if order.0 != epoch {
                    order = (epoch, epoch_order(self.questions.len(), self.recipe.seed, epoch));
                }
                let row = order.1[(*cursor % total) as usize];
                *cursor += 1;
                row
            })
            .collect()
    }

    /// A question with one of its pictures.
    fn prompt(&self, row: usize, picture: Picture, step: usize) -> Result<Prompt> {
        let question = &self.questions[row];
        let photos = self.pictures.pictures(question, row, picture, step)?;
        let prepared = self
            .drawer
            .processor
            .prepare(&question.messages, &photos)
            .map_err(|error| anyhow!("{}: {error}\nhint: {}", question.source, error.hint()))?;
        Ok(prepared.prompt)
    }

    /// The groups of some questions, judged.
    fn groups(&self, jury: &mut Jury, step: usize, attempt: usize, rows: &[usize]) -> Result<Vec<Group>> {
        let shown = self.recipe.shown();
        let work: Vec<(usize, Picture)> =
            rows.iter().flat_map(|row| shown.iter().map(|picture| (*row, *picture))).collect();
        let prompts = self.workers.map(work, |(row, picture)| self.prompt(row, picture, step))?;
        let mut prompts = prompts.into_iter();
        let mut groups: Vec<Group> = rows
            .iter()
            .map(|row| Group {
                row: *row,
                prompts: shown.iter().copied().zip(prompts.by_ref()).collect(),
                answers: Vec::new(),
            })
            .collect();

        for (picture, view) in self.recipe.active_views() {
            let prompts: Vec<&Prompt> = groups.iter().map(|group| &group.prompts[&picture]).collect();
            let place = [step as u64, attempt as u64, picture as u64];
            let seed = |prompt: u64| {
                derived(self.recipe.seed, Purpose::Rollout, &[place.as_slice(), &[prompt]].concat())
            };
            let drawn = self.drawer.draw(&prompts, view.answers, seed)?;
            let likeliest = match self.recipe.advantage {
                Estimator::Remax => Some(Drawer { temperature: 0.0, ..self.drawer }.draw(&prompts, 1, seed)?),
                _ => None,
            };
            let condition = view.condition(picture);
            let verdicts = self.judge(jury, &groups, &drawn)?;
            let greedy = match &likeliest {
                Some(likeliest) => self.judge(jury, &groups, likeliest)?,
                None => Vec::new(),
            };
            let all = drawn.into_iter().zip(verdicts).enumerate();
            for (group, (index, (drawn, verdicts))) in groups.iter_mut().zip(all) {
                let greedy = greedy.get(index).map_or(0.0, |verdicts| verdicts[0].overall);
                group.answers.extend(drawn.into_iter().zip(verdicts).map(|(drawn, verdict)| Answer {
                    view: picture,
                    condition,
                    drawn,
                    verdict,
                    greedy,
                }));
            }
        }
        Ok(groups)
    }

    /// Has the answers to every group's question judged.
    fn judge(&self, jury: &mut Jury, groups: &[Group], drawn: &[Vec<Drawn>]) -> Result<Vec<Vec<Verdict>>> {
        let answered: Vec<Answered<'_>> = groups
            .iter()
            .zip(drawn)
            .flat_map(|(group, answers)| {
                let question = &self.questions[group.row];
                answers.iter().map(|answer| Answered {
                    text: &answer.text,
                    tokens: answer.ids.len(),
                    truth: &question.truth,
                    columns: &question.columns,
                })
            })
            .collect();
        let mut verdicts = jury.judge(&answered)?.into_iter();
        Ok(drawn.iter().map(|answers| verdicts.by_ref().take(answers.len()).collect()).collect())
    }
}

/// The advantages of all answers of a step. `penalties` has what every token's reward is lowered by; empty for
/// nothing.
#[must_use]
pub fn step_advantages(estimator: Estimator, groups: &[Group], penalties: &[Vec<f32>]) -> PerToken {
    let (mut rewards, mut numbers, mut greedy) = (Vec::new(), Vec::new(), Vec::new());
    for (number, group) in groups.iter().enumerate() {
        for answer in &group.answers {
            let mut row = vec![0.0; answer.drawn.ids.len()];
            if let Some(last) = row.last_mut() {
                *last = answer.verdict.overall as f32;
            }
            rewards.push(row);
            numbers.push(number);
            greedy.push(answer.greedy);
        }
    }
    for (row, penalty) in rewards.iter_mut().zip(penalties) {
        for (reward, penalty) in row.iter_mut().zip(penalty) {
            *reward -= penalty;
        }
    }
    advantages(estimator, &rewards, &numbers, &greedy)
}
