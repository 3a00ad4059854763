//! What a run of the stage `vision` has beside the model.

use super::step::Subject;
use super::{Classes, Classifier, Discernment, Head, Prior, discernment, run_step};
use crate::dataset::Conversation;
use crate::optimizer::{AdamW, NamedGradients, Rates};
use crate::sft::SftRecipe;
use crate::sft::step::Pass;
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use std::path::Path;

/// The classes, and the head that names them.
#[derive(Debug, Clone)]
pub struct Lesson {
    classes: Classes,
    prior: Prior,
    head: Head,
}

impl Lesson {
    /// Takes the classes from the rows that are trained on, and the head from a saved state where there
    /// is one.
    ///
    /// # Errors
    /// The answers are no classes, or the state is damaged.
    pub fn begin(
        rows: &[&Conversation],
        saved: Option<&Path>,
        model: &VisionLanguageModel,
        hidden: usize,
    ) -> Result<Self> {
        let classes = Classes::of(rows)?;
        let prior = Prior::of(rows, &classes);
        let device = model.device();
        let head = match saved {
            Some(folder) => Head::load(folder, hidden, classes.len(), &device)?,
            None => Head::new(hidden, classes.len(), &device),
        };
        Ok(Self { classes, prior, head })
    }

    /// How many classes there are.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes.len()
    }

    /// How many confounders there are.
    #[must_use]
    pub fn confounders(&self) -> usize {
        self.prior.len()
    }

    /// Computes the gradient of a step.
    ///
    /// # Errors
    /// A picture cannot be read.
    pub fn step(
        &self,
        model: &VisionLanguageModel,
        processor: &Processor,
        recipe: &SftRecipe,
        workers: &Workers,
        step: usize,
        chosen: &[Vec<&Conversation>],
    ) -> Result<Pass> {
        let subject = Subject { classes: &self.classes, prior: &self.prior };
        run_step(&self.classifier(model), subject, processor, recipe, workers, step, chosen)
    }

    /// Moves tower and head.
    #[must_use]
    pub fn update(
        self,
        mut model: VisionLanguageModel,
        optimizer: &mut AdamW,
        gradients: NamedGradients,
        rates: Rates,
    ) -> (VisionLanguageModel, Self) {
        let classifier = Classifier { visual: model.visual, classifier: self.head };
        let moved = optimizer.update(classifier, gradients, rates);
        model.visual = moved.visual;
        (model, Self { head: moved.classifier, ..self })
    }

    /// Measures on rows that are not trained on, with averages of the weights where they are kept.
    ///
    /// # Errors
    /// A picture cannot be read.
    pub fn measure(
        &self,
        model: &VisionLanguageModel,
        optimizer: &AdamW,
        processor: &Processor,
        recipe: &SftRecipe,
        rows: &[&Conversation],
    ) -> Result<Discernment> {
        let classifier = optimizer.averaged(self.classifier(model).valid());
        discernment(&classifier, &self.classes, processor, recipe, rows)
    }

    /// Writes the head beside a saved state's weights.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.head.clone().valid().save(folder)
    }

    fn classifier(&self, model: &VisionLanguageModel) -> Classifier {
        Classifier { visual: model.visual.clone(), classifier: self.head.clone() }
    }
}
