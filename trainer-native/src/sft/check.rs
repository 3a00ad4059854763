//! `--check-data`: everything that training will read, read before it begins, and reported.

use super::SftRecipe;
use super::plan::Plan;
use super::samples::read_sample;
use super::survey::{Depth, Problem, Row, SurveyedSet, refuse_problems, survey};
use super::train::read_processor;
use anyhow::Result;
use fine_r1_core::recognizer::Processor;
use serde::Serialize;
use std::io::{self, Write};

/// LlamaFactory's mark of a token that is not trained.
const IGNORED: i64 = -100;

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    data_sets: Vec<SetReport>,
    rows: usize,
    bad_rows: usize,
    images: usize,
    tokens: Option<Lengths>,
    /// Tokens that are trained, of all sound rows.
    label_tokens: usize,
    cutoff_len: usize,
    rows_over_cutoff_len: usize,
    /// Absent where rows cannot be trained on.
    training: Option<TrainingReport>,
    problems: Vec<Problem>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    samples: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct SetReport {
    name: String,
    /// False where the set as a whole could not be read.
    readable: bool,
    rows: usize,
    bad_rows: usize,
}

/// Tokens a row.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Lengths {
    total: usize,
    min: usize,
    p50: usize,
    p90: usize,
    p99: usize,
    max: usize,
}

#[derive(Debug, Serialize)]
struct TrainingReport {
    samples: usize,
    sequences: usize,
    steps_per_epoch: usize,
    validation_samples: usize,
    /// Share of all computed tokens.
    padding: f64,
}

/// How a row is trained on.
#[derive(Debug, Serialize)]
struct Shown {
    row: String,
    input_ids: Vec<u32>,
    /// The id where it is trained, -100 where not.
    labels: Vec<i64>,
    /// What is trained, as text.
    trained_text: String,
}

/// Reads all data of a recipe, decodes every image, and reports on stdout: in words, or as `json`. The
/// first `show` rows are shown as the model gets them.
///
/// # Errors
/// Sets cannot be read, or rows cannot be trained on; they were all reported before.
pub fn check_data(recipe: &SftRecipe, show: usize, json: bool) -> Result<()> {
    let (_, processor) = read_processor(recipe)?;
    let sets = survey(recipe, &processor, Depth::Pixels)?;
    let mut report = Report::new(recipe, &sets);
    for row in sets.iter().flat_map(|set| &set.rows).take(show) {
        report.samples.push(show_row(recipe, &processor, row)?);
    }
    let refused = refuse_problems(&sets);
    let plan = if refused.is_ok() { Some(Plan::new(recipe, sets)) } else { None };
    if let Some(Ok(plan)) = &plan {
        report.training = Some(TrainingReport {
            samples: plan.samples(),
            sequences: plan.sequences(),
            steps_per_epoch: plan.steps_per_epoch(),
            validation_samples: plan.validation().len(),
            padding: plan.padding(),
        });
    }
    if json {
        writeln!(io::stdout(), "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(io::stdout(), "{}", report.text(recipe))?;
    }
    for problem in &report.problems {
        eprintln!("{}\n  hint: {}", problem.problem, problem.hint);
    }
    refused?;
    plan.transpose()?;
    Ok(())
}

fn show_row(recipe: &SftRecipe, processor: &Processor, row: &Row) -> Result<Shown> {
    let sample = read_sample(processor, recipe.label_rules(), &row.conversation, &mut None)?;
    let input_ids = sample.prompt.ids;
    let marked = || input_ids.iter().zip(&sample.is_label);
    let trained: Vec<u32> = marked().filter(|(_, label)| **label).map(|(id, _)| *id).collect();
    let labels = marked().map(|(id, label)| if *label { i64::from(*id) } else { IGNORED }).collect();
    let trained_text = processor.tokenizer().decode(&trained, false)?;
    Ok(Shown { row: row.conversation.source.clone(), labels, trained_text, input_ids })
}

impl Report {
    fn new(recipe: &SftRecipe, sets: &[SurveyedSet]) -> Self {
        let rows: Vec<&Row> = sets.iter().flat_map(|set| &set.rows).collect();
        let problems: Vec<Problem> =
            sets.iter().flat_map(|set| set.unread.iter().chain(&set.problems).cloned()).collect();
        let bad_rows = sets.iter().map(|set| set.problems.len()).sum();
        let data_sets = sets.iter().map(|set| SetReport {
            name: set.name.clone(),
            readable: set.unread.is_none(),
            rows: set.rows.len() + set.problems.len(),
            bad_rows: set.problems.len(),
        });
        Self {
            data_sets: data_sets.collect(),
            rows: rows.len() + bad_rows,
            bad_rows,
            images: rows.iter().map(|row| row.measure.grids.len()).sum(),
            tokens: Lengths::of(rows.iter().map(|row| row.measure.tokens).collect()),
            label_tokens: rows.iter().map(|row| row.measure.labels).sum(),
            cutoff_len: recipe.cutoff_len,
            rows_over_cutoff_len: rows.iter().filter(|row| row.measure.tokens > recipe.cutoff_len).count(),
            training: None,
            problems,
            samples: Vec::new(),
        }
    }

    fn text(&self, recipe: &SftRecipe) -> String {
        let mut lines = Vec::new();
        for set in &self.data_sets {
            let rows = match set.readable {
                true => format!("{} rows, {} bad", set.rows, set.bad_rows),
                false => "cannot be read".to_owned(),
            };
            lines.push(format!("data set    {}: {rows}", set.name));
        }
        lines.push(format!("rows        {}, {} bad", self.rows, self.bad_rows));
        lines.push(format!("images      {}", self.images));
        if let Some(tokens) = &self.tokens {
            let Lengths { total, min, p50, p90, p99, max } = tokens;
            lines.push(format!(
                "tokens      {total} in all; a row: min {min}, p50 {p50}, p90 {p90}, p99 {p99}, max {max}"
            ));
            let share = 100.0 * self.label_tokens as f64 / *total as f64;
            lines.push(format!("trained     {} tokens, {share:.1} %", self.label_tokens));
        }
        lines.push(format!(
            "too long    {} rows of more than cutoff_len ({}) tokens, policy: {}",
            self.rows_over_cutoff_len,
            self.cutoff_len,
            match recipe.overlong {
                super::Overlong::Drop => "drop",
                super::Overlong::Refuse => "refuse",
            }
        ));
        if let Some(training) = &self.training {
            lines.push(format!(
                "training    {} samples in {} sequences, {} steps an epoch, {:.1} % of computed tokens are padding",
                training.samples,
                training.sequences,
                training.steps_per_epoch,
                100.0 * training.padding
            ));
            lines.push(format!("validation  {} samples", training.validation_samples));
        }
        for sample in &self.samples {
            lines.push(format!("\n{}, {} tokens; trained:", sample.row, sample.input_ids.len()));
            lines.push(sample.trained_text.trim_end().to_owned());
        }
        lines.join("\n") + "\n"
    }
}

impl Lengths {
    /// `None` of no rows.
    fn of(mut lengths: Vec<usize>) -> Option<Self> {
        lengths.sort_unstable();
        // The smallest length that so many percent of the rows do not exceed.
        let percentile = |percent: usize| lengths[(lengths.len() * percent).div_ceil(100).max(1) - 1];
        Some(Self {
            total: lengths.iter().sum(),
            min: *lengths.first()?,
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            max: *lengths.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_lengths_of_rows() {
        assert_eq!(Lengths::of(vec![]), None);
        let hundred = Lengths::of((1..=100).rev().collect()).expect("rows");
        assert_eq!(hundred, Lengths { total: 5050, min: 1, p50: 50, p90: 90, p99: 99, max: 100 });
        let one = Lengths::of(vec![7]).expect("a row");
        assert_eq!(one, Lengths { total: 7, min: 7, p50: 7, p90: 7, p99: 7, max: 7 });
    }
}
