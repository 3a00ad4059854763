//! The embedded model on the device and on the processor, from equal weights.

use super::comparison::{Comparison, numbers};
use super::fine_tuning::{Lesson, Trained};
use super::stages;
use super::tapo::{Round, StepSize};
use crate::checkpoint;
use crate::device::OpenDevice;
use crate::rl::Learnt;
use crate::sft::SftRecipe;
use anyhow::Result;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{Processor, Recognizer};
use fine_r1_core::weights::Precision;
use std::path::PathBuf;

/// Side of the photos that training sees, in pixels.
const PHOTO_SIDE: u32 = 112;

/// Who is compared.
pub struct Pair<'run> {
    /// Computes in the precision.
    pub device: &'run OpenDevice,
    /// Computes in f32, from weights that were rounded to the precision.
    pub processor: &'run OpenDevice,
    /// The precision.
    pub precision: Precision,
}

/// A part of the comparison; photos are those that were given.
type Compare = fn(&Pair<'_>, &[PathBuf]) -> Result<Vec<Comparison>>;

/// All parts.
pub const ALL: [(&str, Compare); 6] = [
    ("stages of the network", stages::compare),
    ("recognition", stages::recognize),
    ("fine-tuning", |pair, _| compare_fine_tuning(pair, Trained::Weights)),
    ("fine-tuning of an adapter", |pair, _| compare_fine_tuning(pair, Trained::Adapter)),
    ("fine-tuning of an adapter on four bits", |pair, _| {
        compare_fine_tuning(pair, Trained::AdapterOnQuantized)
    }),
    ("TAPO", |pair, _| compare_tapo(pair)),
];

impl Pair<'_> {
    /// The embedded model on both: the device's, the processor's.
    ///
    /// # Errors
    /// The embedded model does not load.
    pub fn recognizers(&self) -> Result<[Recognizer; 2]> {
        Ok([
            self.load(self.device, self.precision.dtype(), false)?,
            self.load(self.processor, DType::F32, false)?,
        ])
    }

    /// The same, to be trained.
    fn trainable(&self) -> Result<[(Processor, VisionLanguageModel); 2]> {
        let load = |device, dtype| anyhow::Ok(self.load(device, dtype, true)?.into_parts());
        Ok([load(self.device, self.precision.dtype())?, load(self.processor, DType::F32)?])
    }

    fn load(&self, device: &OpenDevice, held: DType, records: bool) -> Result<Recognizer> {
        let handle = device.device.clone();
        let handle = if records { handle.autodiff() } else { handle };
        let rounded = OpenDevice { device: handle, precision: Some(self.precision), ..device.clone() };
        let (processor, model) = checkpoint::load(None, &rounded)?.into_parts();
        Ok(Recognizer::new(processor, checkpoint::cast(model, held)))
    }
}

/// What a step finds and does.
struct Step {
    loss: f32,
    gradients: Vec<f32>,
    /// What the update adds to the weights.
    change: Vec<f32>,
}

fn compare_fine_tuning(pair: &Pair<'_>, trained: Trained) -> Result<Vec<Comparison>> {
    let recipe = SftRecipe {
        per_device_train_batch_size: 2,
        freeze_vision_tower: false,
        freeze_multi_modal_projector: false,
        // Blocks are computed twice, so that both ways of the trunk are seen over all parts.
        gradient_checkpointing: trained != Trained::Weights,
        // Dividing by about one, the optimizer does not make much of what is nearly nothing.
        adam_epsilon: 1.0,
        learning_rate: 0.1,
        ..SftRecipe::default()
    };
    let mut steps = Vec::new();
    for (processor, model) in pair.trainable()? {
        let lesson = Lesson::new(recipe.clone(), PHOTO_SIDE)?;
        let model = lesson.prepare(model, trained)?;
        let pass = lesson.pass(&model, &processor)?;
        let (loss, mut gradients) = (pass.loss as f32, Vec::new());
        for gradient in pass.gradients.values() {
            gradients.extend(numbers(gradient.clone())?);
        }
        let before = trained_numbers(&model)?;
        let after = trained_numbers(&lesson.update(model, &mut lesson.optimizer(), pass))?;
        let change = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        steps.push(Step { loss, gradients, change });
    }
    let name = |what: &str| format!("{} step of fine-tuning: {what}", trained.name());
    Ok(compare_steps(pair, name, &steps[0], &steps[1]))
}

fn compare_steps(
    pair: &Pair<'_>,
    name: impl Fn(&str) -> String,
    found: &Step,
    expected: &Step,
) -> Vec<Comparison> {
    let mut comparisons = vec![Comparison::of_numbers(&name("loss"), pair, &[found.loss], &[expected.loss])];
    if !expected.gradients.is_empty() {
        comparisons.push(Comparison::of_numbers(
            &name("gradients"),
            pair,
            &found.gradients,
            &expected.gradients,
        ));
    }
    // Weights in 16 bits hide what one step adds to them.
    if pair.precision == Precision::F32 {
        comparisons.push(Comparison::of_numbers(
            &name("change of the weights"),
            pair,
            &found.change,
            &expected.change,
        ));
    }
    comparisons
}

fn compare_tapo(pair: &Pair<'_>) -> Result<Vec<Comparison>> {
    let size = StepSize { questions: 2, answers: 2, new_tokens: 12, micro_batch: 3, photo_side: PHOTO_SIDE };
    let mut steps = Vec::new();
    let [found, expected] = pair.trainable()?;
    // Both learn from the answers that the processor has drawn.
    let groups = Round::new(&expected.0, size, |_| ())?.draw(&expected.1.valid())?;
    for (processor, model) in [found, expected] {
        let round = Round::new(&processor, size, |recipe| {
            recipe.update.adam_epsilon = 1.0;
            // Gradients are small: what a short step adds to the weights would drown in their rounding, and clipped
            // ones would be held against each other by their length alone.
            recipe.update.learning_rate = 10.0;
            recipe.update.max_grad_norm = 0.0;
        })?;
        let before = trained_numbers(&model)?;
        let (model, Learnt { parts, grad_norm, .. }) = round.learn(model, &mut round.optimizer(), &groups)?;
        let after = trained_numbers(&model)?;
        let change = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        steps.push(Step { loss: parts.total as f32, gradients: vec![grad_norm as f32], change });
    }
    Ok(compare_steps(pair, |what| format!("step of TAPO: {what}"), &steps[0], &steps[1]))
}

/// All numbers of a model that are trained.
fn trained_numbers(model: &VisionLanguageModel) -> Result<Vec<f32>> {
    struct Collect(Result<Vec<f32>>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            if tensor.is_require_grad()
                && let Ok(found) = &mut self.0
            {
                match numbers(tensor.inner()) {
                    Ok(more) => found.extend(more),
                    Err(error) => self.0 = Err(error),
                }
            }
        }
    }
    let mut collect = Collect(Ok(Vec::new()));
    model.visit(&mut collect);
    collect.0
}
