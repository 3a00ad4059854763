//! The loss on samples that are not trained on.

use super::loss::Labels;
use super::samples::{Sample, read_all, read_samples};
use super::{SftRecipe, token_loss};
use crate::dataset::Conversation;
use anyhow::{Result, bail};
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::Processor;

/// Samples that are measured.
#[derive(Debug)]
pub struct HeldOut {
    rows: Vec<Conversation>,
    /// The run's recipe, with images as they are.
    recipe: SftRecipe,
}

impl HeldOut {
    /// The data sets of `eval_dataset`, or `None` where there are none.
    ///
    /// # Errors
    /// A file cannot be read, or rows cannot be used.
    pub fn read(recipe: &SftRecipe) -> Result<Option<Self>> {
        if recipe.eval_dataset.is_empty() {
            return Ok(None);
        }
        let recipe =
            SftRecipe { dataset: recipe.eval_dataset.clone(), image_augmentation: 0.0, ..recipe.clone() };
        Ok(Some(Self { rows: read_all(&recipe)?, recipe }))
    }

    /// Mean negative log-probability of all labels; samples that are too long are left out.
    ///
    /// `model` is outside of any graph.
    ///
    /// # Errors
    /// A sample cannot be read, or all are too long.
    pub fn loss(&self, model: &VisionLanguageModel, processor: &Processor) -> Result<f64> {
        let (mut sum, mut count) = (0.0, 0);
        let rows: Vec<&Conversation> = self.rows.iter().collect();
        for rows in rows.chunks(self.recipe.per_device_eval_batch_size) {
            let mut samples = read_samples(processor, &self.recipe, 0, rows)?;
            samples.retain(|sample: &Sample| sample.prompt.ids.len() <= self.recipe.cutoff_len);
            if samples.is_empty() {
                continue;
            }
            let prompts: Vec<&Prompt> = samples.iter().map(|sample| &sample.prompt).collect();
            let is_label: Vec<&[bool]> = samples.iter().map(|sample| sample.is_label.as_slice()).collect();
            let loss = token_loss(model, processor.config(), &prompts, &is_label);
            sum += f64::from(loss.into_scalar::<f32>());
            count += Labels::new(&prompts, &is_label).len();
        }
        if count == 0 {
            bail!(
                "all samples of eval_dataset are longer than cutoff_len ({})\nhint: raise cutoff_len",
                self.recipe.cutoff_len
            );
        }
        Ok(sum / count as f64)
    }
}
