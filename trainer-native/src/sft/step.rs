//! The gradient of one step: micro-batches side by side, joined in a fixed order.

use super::loss::{Labels, MAX_SCORES, head_loss};
use super::samples::{Sample, read_sequences};
use super::{Averaging, SftRecipe};
use crate::adapter::drop_out;
use crate::dataset::Conversation;
use crate::optimizer::{NamedGradients, accumulate};
use crate::trunk::Trunk;
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::Processor;

/// What one step found.
#[derive(Debug)]
pub struct Pass {
    /// As [`Averaging`] has it.
    pub loss: f64,
    /// Of the loss, by the weights that are trained.
    pub gradients: NamedGradients,
    /// Tokens that were read.
    pub tokens: usize,
    /// Tokens that were learnt from.
    pub labels: usize,
}

/// Computes the gradient of a step.
///
/// # Errors
/// A sample cannot be read.
pub fn run_step(
    model: &VisionLanguageModel,
    processor: &Processor,
    recipe: &SftRecipe,
    workers: &Workers,
    step: usize,
    chosen: &[Vec<&Conversation>],
) -> Result<Pass> {
    let samples = read_sequences(processor, recipe, step * recipe.samples_per_step(), chosen)?;
    let micro_batches: Vec<MicroBatch> =
        samples.chunks(recipe.per_device_train_batch_size).enumerate().map(MicroBatch::new).collect();
    let mut pass = Pass {
        loss: 0.0,
        gradients: NamedGradients::new(),
        tokens: samples.iter().map(|sample| sample.prompt.ids.len()).sum(),
        labels: micro_batches.iter().map(|batch| batch.labels.len()).sum(),
    };
    let learning: Vec<&MicroBatch> = micro_batches.iter().filter(|batch| batch.labels.len() > 0).collect();
    let weight = |batch: &MicroBatch| match recipe.loss_averaging {
        Averaging::Token => 1.0 / pass.labels as f64,
        Averaging::MicroBatch => 1.0 / (batch.labels.len() * learning.len()) as f64,
    };
    let mut found = Vec::with_capacity(learning.len());
    let mut gradients = NamedGradients::new();
    for group in learning.chunks(recipe.workers) {
        let work = |batch: &MicroBatch| {
            // Leaves of its own, so that the graphs of two workers share no lock.
            let model = model.clone().fork(&model.device());
            let pass = step * recipe.gradient_accumulation_steps + batch.index;
            let model = drop_out(model, recipe.lora_dropout, recipe.seed, pass as u64);
            batch.pass(&model, processor.config(), recipe, weight(batch))
        };
        for (loss, found_gradients) in workers.map(group.to_vec(), |batch| Ok(work(batch)))? {
            found.push(loss);
            accumulate(&mut gradients, found_gradients);
        }
    }
    (pass.loss, pass.gradients) = (found.iter().sum(), gradients);
    Ok(pass)
}

/// Samples that go through the model together.
struct MicroBatch<'step> {
    /// Its place in the step.
    index: usize,
    prompts: Vec<&'step Prompt>,
    labels: Labels,
}

impl<'step> MicroBatch<'step> {
    fn new((index, samples): (usize, &'step [Sample])) -> Self {
        let prompts: Vec<&Prompt> = samples.iter().map(|sample| &sample.prompt).collect();
        let is_label: Vec<&[bool]> = samples.iter().map(|sample| sample.is_label.as_slice()).collect();
        let labels = Labels::new(&prompts, &is_label);
        Self { index, prompts, labels }
    }

    /// `weight` times the summed loss, and its gradients.
    fn pass(
        &self,
        model: &VisionLanguageModel,
        config: &ModelConfig,
        recipe: &SftRecipe,
        weight: f64,
    ) -> (f64, NamedGradients) {
        let trunk = Trunk::forward(model, config, &self.prompts, None, recipe.keep());
        let loss = head_loss(model, &trunk.output(), &self.labels, weight, MAX_SCORES);
        let mut gradients = trunk.backward(loss.gradient);
        accumulate(&mut gradients, loss.head);
        let sum = loss.sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()));
        (sum * weight, gradients)
    }
}
