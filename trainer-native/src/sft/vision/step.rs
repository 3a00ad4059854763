//! The gradient of one step over pictures and their classes, and how well classes are told apart.

use super::{Classifier, Lesson};
use crate::dataset::Conversation;
use crate::optimizer::{NamedGradients, accumulate, collect};
use crate::sft::SftRecipe;
use crate::sft::samples::{read_picture, read_pictures};
use crate::sft::step::Pass;
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::image::Patches;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

/// A picture and its class.
#[derive(Debug, Clone, Copy)]
struct Example<'data> {
    picture: &'data Patches,
    class: usize,
    /// Log-frequencies of the classes that are known without looking.
    prior: Option<&'data [f32]>,
}

/// Computes the gradient of a step, in which every picture counts alike.
///
/// # Errors
/// A picture cannot be read.
pub fn run_step(
    lesson: &Lesson,
    model: &VisionLanguageModel,
    processor: &Processor,
    recipe: &SftRecipe,
    workers: &Workers,
    step: usize,
    chosen: &[Vec<&Conversation>],
) -> Result<Pass> {
    let pictures = read_pictures(processor, recipe, step * recipe.samples_per_step(), chosen)?;
    let rows = chosen.iter().flatten().copied();
    let examples: Vec<Example> = pictures
        .iter()
        .zip(rows)
        .filter_map(|(picture, row)| {
            Some(Example { picture, class: lesson.classes.class(row)?, prior: lesson.prior.of_row(row) })
        })
        .collect();
    let config = processor.config();
    let classifier = lesson.classifier(model);
    let weight = 1.0 / examples.len() as f64;
    let work = |examples: &[Example]| {
        // Leaves of its own, so that the graphs of two workers share no lock.
        let classifier = classifier.clone().fork(&classifier.device());
        let known = priors(examples, lesson.classes.len(), &classifier.device());
        let losses = losses(scores(&classifier, examples, config) + known, examples);
        let sum = f64::from(losses.clone().inner().sum().into_scalar::<f32>());
        (sum * weight, collect(&classifier, &mut (losses.sum() * weight).backward()))
    };
    let mut pass = Pass {
        loss: 0.0,
        gradients: NamedGradients::new(),
        tokens: pictures.iter().map(|picture| picture.grid.patches() / config.vision.merge_area()).sum(),
        labels: examples.len(),
    };
    let micro_batches: Vec<&[Example]> = examples.chunks(recipe.per_device_train_batch_size).collect();
    for group in micro_batches.chunks(recipe.workers) {
        for (loss, gradients) in workers.map(group.to_vec(), |batch| Ok(work(batch)))? {
            pass.loss += loss;
            accumulate(&mut pass.gradients, gradients);
        }
    }
    Ok(pass)
}

/// How well classes are told apart in pictures that are not trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discernment {
    /// Mean negative log-probability of the class, in nats.
    pub loss: f64,
    /// Share of the pictures whose class is the likeliest.
    pub accuracy: f64,
}

/// Measures on pictures as they lie on disk; rows of no known class count as wrong and are no part of
/// the loss.
///
/// # Errors
/// A picture cannot be read.
pub fn discernment(
    lesson: &Lesson,
    classifier: &Classifier,
    processor: &Processor,
    recipe: &SftRecipe,
    rows: &[&Conversation],
) -> Result<Discernment> {
    let (mut sum, mut hits, mut count) = (0.0, 0, 0);
    for rows in rows.chunks(recipe.per_device_eval_batch_size) {
        let known: Vec<(&Conversation, usize)> =
            rows.iter().filter_map(|row| Some((*row, lesson.classes.class(row)?))).collect();
        if known.is_empty() {
            continue;
        }
        let pictures: Vec<Patches> = known
            .par_iter()
            .map(|(row, _)| read_picture(processor, row, &mut None))
            .collect::<Result<_>>()?;
        let examples: Vec<Example> = pictures
            .iter()
            .zip(&known)
            .map(|(picture, (_, class))| Example { picture, class: *class, prior: None })
            .collect();
        let scores = scores(classifier, &examples, processor.config());
        let found = scores.clone().argmax(1).into_data();
        hits += found.iter::<i64>().zip(&known).filter(|(found, (_, class))| *found == *class as i64).count();
        sum += f64::from(losses(scores, &examples).sum().into_scalar::<f32>());
        count += known.len();
    }
    let accuracy = hits as f64 / rows.len().max(1) as f64;
    Ok(Discernment { loss: sum / count.max(1) as f64, accuracy })
}

fn scores(classifier: &Classifier, examples: &[Example], config: &ModelConfig) -> Tensor<2> {
    let images: Vec<&Patches> = examples.iter().map(|example| example.picture).collect();
    classifier.forward(&images, config)
}

/// What is known of the classes without looking: `[images, classes]`.
fn priors(examples: &[Example], classes: usize, device: &Device) -> Tensor<2> {
    let nothing = vec![0.0; classes];
    let known: Vec<f32> =
        examples.iter().flat_map(|example| example.prior.unwrap_or(&nothing)).copied().collect();
    Tensor::from_data(TensorData::new(known, [examples.len(), classes]), device)
}

/// The negative log-probability of every picture's class: `[images, 1]`.
fn losses(scores: Tensor<2>, examples: &[Example]) -> Tensor<2> {
    let classes: Vec<i32> = examples.iter().map(|example| example.class as i32).collect();
    let data = TensorData::new(classes, [examples.len(), 1]);
    let classes = Tensor::<2, Int>::from_data(data, &scores.device());
    log_softmax(scores, 1).gather(1, classes).neg()
}
