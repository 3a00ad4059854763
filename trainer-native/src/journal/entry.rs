//! The log of fine-tuning: stretches of steps, and measurements between them.

use super::{Drawing, Line};
use serde::{Deserialize, Serialize};

/// One line of the log: a stretch of steps, or a measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// Steps that were made.
    Training(Training),
    /// Samples that are not trained on.
    Evaluation(Evaluation),
}

/// A stretch of steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Training {
    /// The last of them, from 1.
    pub step: usize,
    /// Steps of the run.
    pub total_steps: usize,
    /// How often the data was gone through.
    pub epoch: f64,
    /// Mean over the stretch; none where nothing was learnt.
    pub loss: Option<f64>,
    /// Of the last step, before clipping.
    pub grad_norm: f32,
    /// Of the last step, for the language model.
    pub learning_rate: f64,
    /// Over the stretch.
    pub tokens_per_sec: f64,
    /// Over the stretch.
    pub samples_per_sec: f64,
    /// Until the end of the run, at its pace so far.
    pub remaining_secs: f64,
}

/// A measurement.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Evaluation {
    /// After which step.
    pub step: usize,
    /// Mean over all labels.
    pub eval_loss: f64,
    /// Share of the samples that were named rightly, where classes are told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eval_accuracy: Option<f64>,
}

impl Line for Entry {
    fn step(&self) -> usize {
        match self {
            Self::Training(training) => training.step,
            Self::Evaluation(evaluation) => evaluation.step,
        }
    }

    fn scalars(&self) -> Vec<(String, f64)> {
        let named = match self {
            Self::Training(training) => vec![
                ("train/loss", training.loss),
                ("train/grad_norm", Some(f64::from(training.grad_norm))),
                ("train/learning_rate", Some(training.learning_rate)),
                ("train/tokens_per_sec", Some(training.tokens_per_sec)),
            ],
            Self::Evaluation(evaluation) => {
                vec![("eval/loss", Some(evaluation.eval_loss)), ("eval/accuracy", evaluation.eval_accuracy)]
            }
        };
        named.into_iter().filter_map(|(tag, value)| Some((tag.to_owned(), value?))).collect()
    }

    fn drawings(lines: &[Self]) -> Vec<Drawing> {
        let of = |pick: fn(&Self) -> Option<f64>| {
            lines.iter().filter_map(|line| Some((line.step() as f64, pick(line)?))).collect()
        };
        vec![Drawing {
            file: "loss.svg",
            caption: "loss",
            made: of(|line| match line {
                Self::Training(training) => training.loss,
                Self::Evaluation(_) => None,
            }),
            held_out: of(|line| match line {
                Self::Training(_) => None,
                Self::Evaluation(evaluation) => Some(evaluation.eval_loss),
            }),
        }]
    }
}
