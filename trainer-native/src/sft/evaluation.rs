//! How well a model predicts answers that it was not trained on.

use super::samples::{Sample, read_sample};
use super::{SftRecipe, token_loss};
use crate::dataset::Conversation;
use anyhow::{Context, Result};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::Processor;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

/// Mean negative log-probability of a label over all rows, every label with equal weight, in nats.
///
/// The model should be free of the autodiff graph (`valid`); images are shown as they lie on disk.
///
/// # Errors
/// An image or a conversation cannot be read; the message names file and row.
pub fn evaluation_loss(
    model: &VisionLanguageModel,
    processor: &Processor,
    recipe: &SftRecipe,
    rows: &[&Conversation],
) -> Result<f64> {
    let (mut sum, mut labels) = (0.0, 0);
    for rows in rows.chunks(recipe.per_device_eval_batch_size) {
        let samples: Vec<Sample> = rows
            .par_iter()
            .map(|row| {
                read_sample(processor, recipe.label_rules(), row, &mut None)
                    .with_context(|| row.source.clone())
            })
            .collect::<Result<_>>()?;
        let prompts: Vec<&Prompt> = samples.iter().map(|sample| &sample.prompt).collect();
        let is_label: Vec<&[bool]> = samples.iter().map(|sample| sample.is_label.as_slice()).collect();
        let loss = token_loss(model, processor.config(), &prompts, &is_label);
        sum += f64::from(loss.into_scalar::<f32>());
        labels += is_label.iter().flat_map(|row| &row[1..]).filter(|label| **label).count();
    }
    Ok(sum / labels.max(1) as f64)
}
