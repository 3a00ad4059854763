//! What a run of the stage `vision` has beside the model.

use super::{Classes, Classifier, Head, Prior};
use crate::dataset::Conversation;
use crate::optimizer::{AdamW, NamedGradients, Rates};
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use std::path::Path;

/// The classes, and the head that names them.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The answers.
    pub classes: Classes,
    /// What confounders tell of them.
    pub prior: Prior,
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

    /// Writes the head beside a saved state's weights.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        self.head.clone().valid().save(folder)
    }

    /// The model's tower with the head.
    #[must_use]
    pub fn classifier(&self, model: &VisionLanguageModel) -> Classifier {
        Classifier { visual: model.visual.clone(), classifier: self.head.clone() }
    }
}
