//! From answers to figures: every measure of every task, and the baselines beside.

use super::interval::Resampled;
use super::measure::Measure;
use super::store::Results;
use super::summary::{Line, Unit};
use super::{
    Categories, DataSet, Output, Question, Record, Settings, Similarity, Split, Task, TextEmbedder, Variant,
    always_first, random_choice,
};
use anyhow::Result;
use fine_r1_core::reasoning::Transcript;
use std::collections::BTreeMap;

/// What the figures are made from.
pub struct Material<'run> {
    /// The sets.
    pub sets: &'run [DataSet],
    /// What was asked of each set.
    pub plan: &'run [(usize, Question)],
    /// What was answered.
    pub results: &'run Results,
    /// Where the super-category's word comes from.
    pub categories: &'run Categories,
    /// Tells how near texts are.
    pub embedder: Option<&'run dyn TextEmbedder>,
    /// Accuracy of the linear probe, by set and row.
    pub probe: Option<&'run [Vec<f64>]>,
    /// Makes intervals repeatable.
    pub seed: u64,
    /// Whether the model writes, and does not only choose.
    pub writes: bool,
}

/// One value an image, by set.
type Values = Vec<Option<Vec<f64>>>;

impl Material<'_> {
    /// All lines.
    ///
    /// # Errors
    /// The text embedder failed.
    pub fn lines(&self) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut similarity = self.embedder.map(Similarity::new);
        for task in [Task::ClosedWorld, Task::OpenWorld] {
            for variant in self.variants(task) {
                let title = format!("{}{}", task.title(), variant.title(task));
                for measure in self.measures(task, variant) {
                    let values = self.values(task, variant, |set, settings, record| {
                        let row = &set.rows[record.row];
                        measure.value(settings, row, record, self.categories.is_car(set, row))
                    });
                    lines.push(self.line(
                        &key(task, variant, measure.key()),
                        format!("{title}, {}", measure.title(task, self.samples())),
                        Unit::Share,
                        &values,
                    ));
                }
                if let Some(similarity) = similarity.as_mut().filter(|_| task == Task::OpenWorld) {
                    let values = self.similarities(similarity, variant)?;
                    let title = format!("{title}, relative semantic similarity");
                    lines.push(self.line(&key(task, variant, "similarity"), title, Unit::Share, &values));
                }
            }
            if task == Task::ClosedWorld
                && self.plan.iter().any(|(_, question)| question.settings.task == task)
            {
                lines.extend(self.baselines());
            }
        }
        if let Some(probe) = self.probe {
            let values: Values = probe.iter().map(|values| Some(values.clone())).collect();
            lines.push(self.line("open.probe", "open world, linear probe".into(), Unit::Share, &values));
        }
        if self.writes {
            lines.extend(self.forms());
        }
        Ok(lines)
    }

    fn variants(&self, task: Task) -> Vec<Variant> {
        let mut found = Vec::new();
        for (_, question) in self.plan.iter().filter(|(_, question)| question.settings.task == task) {
            if !found.contains(&question.settings.variant) {
                found.push(question.settings.variant);
            }
        }
        found
    }

    fn samples(&self) -> usize {
        self.plan.first().map_or(1, |(_, question)| question.settings.samples)
    }

    fn measures(&self, task: Task, variant: Variant) -> Vec<Measure> {
        let mut measures = vec![Measure::Exact];
        if self.samples() > 1 {
            measures.extend([Measure::Majority, Measure::Pass]);
        }
        match (task, variant) {
            (Task::ClosedWorld, Variant::Plain | Variant::ReleasedOrder) if self.writes => {
                measures.push(Measure::Substring);
            }
            (Task::ClosedWorld, _) => {}
            (Task::OpenWorld, _) => measures.push(Measure::Inclusion),
        }
        measures
    }

    /// A value of every answer under the settings of a task and variant.
    fn values(
        &self,
        task: Task,
        variant: Variant,
        value: impl Fn(&DataSet, &Settings, &Record) -> f64,
    ) -> Values {
        let mut values: Values = vec![None; self.sets.len()];
        for (set, question) in self.plan {
            let settings = &question.settings;
            if settings.task == task && settings.variant == variant {
                let records = self.results.of(&settings.id());
                values[*set] =
                    Some(records.map(|record| value(&self.sets[*set], settings, record)).collect());
            }
        }
        values
    }

    /// What can be said of answers without knowing the right one.
    fn forms(&self) -> Vec<Line> {
        let all = |_: &Settings| true;
        let share = |is_such: &dyn Fn(&Output) -> bool, record: &Record| {
            record.samples.iter().filter(|sample| is_such(sample)).count() as f64
                / record.samples.len().max(1) as f64
        };
        let well_formed = |sample: &Output| Transcript::parse(&sample.text).well_formed;
        let mut lines = Vec::new();
        // Nobody is well-formed who was not asked for the form.
        let formed = self.written(Settings::asks_for_format, |record| share(&well_formed, record));
        if formed.iter().any(Option::is_some) {
            lines.push(self.line("well_formed", "well-formed".into(), Unit::Share, &formed));
        }
        let cut_off = self.written(all, |record| share(&Output::is_cut_off, record));
        lines.push(self.line("cut_off", "cut off".into(), Unit::Share, &cut_off));
        let tokens = self.written(all, |record| {
            let tokens: usize = record.samples.iter().map(|sample| sample.new_tokens).sum();
            tokens as f64 / record.samples.len().max(1) as f64
        });
        lines.push(self.line("new_tokens", "tokens of an answer".into(), Unit::Tokens, &tokens));
        lines
    }

    /// A value of every image: the mean over its answers to those plain tasks that are meant.
    fn written(&self, is_meant: impl Fn(&Settings) -> bool, value: impl Fn(&Record) -> f64) -> Values {
        let mut of_rows: Vec<Option<BTreeMap<usize, Vec<f64>>>> = vec![None; self.sets.len()];
        for (set, question) in self.plan {
            let settings = &question.settings;
            if settings.variant == Variant::Plain && is_meant(settings) {
                let rows = of_rows[*set].get_or_insert_default();
                for record in self.results.of(&settings.id()) {
                    rows.entry(record.row).or_default().push(value(record));
                }
            }
        }
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        of_rows.into_iter().map(|rows| Some(rows?.into_values().map(mean).collect())).collect()
    }

    fn similarities(&self, similarity: &mut Similarity, variant: Variant) -> Result<Values> {
        for (set, question) in self.plan.iter().filter(|(_, question)| {
            question.settings.task == Task::OpenWorld && question.settings.variant == variant
        }) {
            let set = &self.sets[*set];
            let mut texts = Vec::new();
            for record in self.results.of(&question.settings.id()) {
                let row = &set.rows[record.row];
                texts.extend(record.released_answers(&question.settings));
                texts.push(self.categories.word(set, row).to_owned());
                texts.push(row.ground_truth.clone());
            }
            similarity.learn(texts.iter().map(String::as_str))?;
        }
        Ok(self.values(Task::OpenWorld, variant, |set, settings, record| {
            let row = &set.rows[record.row];
            let word = self.categories.word(set, row);
            let answers = record.released_answers(settings);
            let near: f64 =
                answers.iter().map(|answer| similarity.relative(answer, word, &row.ground_truth)).sum();
            near / answers.len() as f64
        }))
    }

    fn baselines(&self) -> Vec<Line> {
        let seed = self.plan.first().map_or(self.seed, |(_, question)| question.settings.seed);
        let of_each = |value: &dyn Fn(&DataSet) -> Vec<f64>| -> Values {
            let has_options = |set: &DataSet| set.rows.iter().all(|row| !row.options.is_empty());
            self.sets.iter().map(|set| has_options(set).then(|| value(set))).collect()
        };
        let mut lines = vec![self.line(
            "closed.always_first",
            "closed world, always the first option".into(),
            Unit::Share,
            &of_each(&|set| always_first(&set.rows, Some(seed))),
        )];
        if self.variants(Task::ClosedWorld).contains(&Variant::ReleasedOrder) {
            lines.push(self.line(
                "closed.released_order.always_first",
                "closed world, always the first option, released order (parity only)".into(),
                Unit::Share,
                &of_each(&|set| always_first(&set.rows, None)),
            ));
        }
        lines.push(self.line(
            "closed.random",
            "closed world, random option".into(),
            Unit::Share,
            &of_each(&|set| random_choice(&set.rows, seed)),
        ));
        lines
    }

    fn line(&self, key: &str, title: String, unit: Unit, values: &[Option<Vec<f64>>]) -> Line {
        // The same images are drawn for every measure of a set.
        let resampled: Vec<Option<Resampled>> = values
            .iter()
            .enumerate()
            .map(|(set, values)| Resampled::new(values.as_deref()?, self.seed.wrapping_add(set as u64)))
            .collect();
        let average = |split: Split| {
            let of_split = self.sets.iter().zip(&resampled).filter(|(set, _)| set.split == Some(split));
            // An average over some of the data sets would not be the same figure.
            let parts: Option<Vec<&Resampled>> = of_split.map(|(_, resampled)| resampled.as_ref()).collect();
            Resampled::average(&parts?)
        };
        let (seen, unseen) = (average(Split::Seen), average(Split::Unseen));
        let all =
            seen.as_ref().zip(unseen.as_ref()).and_then(|(seen, unseen)| Resampled::average(&[seen, unseen]));
        let estimate = |resampled: Option<&Resampled>| resampled.map(Resampled::estimate);
        Line {
            key: key.to_owned(),
            title,
            unit,
            sets: resampled.iter().map(|resampled| estimate(resampled.as_ref())).collect(),
            seen: estimate(seen.as_ref()),
            unseen: estimate(unseen.as_ref()),
            all: estimate(all.as_ref()),
        }
    }

    /// The super-category's words that come up, by set.
    #[must_use]
    pub fn words(&self) -> BTreeMap<String, String> {
        let of = |set: &DataSet| {
            let mut words: Vec<&str> = set.rows.iter().map(|row| self.categories.word(set, row)).collect();
            words.sort_unstable();
            words.dedup();
            words.join(", ")
        };
        self.sets.iter().map(|set| (set.name.clone(), of(set))).collect()
    }
}

fn key(task: Task, variant: Variant, measure: &str) -> String {
    let task = if task == Task::ClosedWorld { "closed" } else { "open" };
    let variant = match variant {
        Variant::Plain => "",
        Variant::ReleasedOrder => ".released_order",
        Variant::NoThinking => ".no_thinking",
        Variant::ShuffledImage => ".shuffled_image",
        Variant::BlankImage => ".blank_image",
    };
    format!("{task}{variant}.{measure}")
}

#[cfg(test)]
mod tests;
