//! A step of supervised fine-tuning without files.

use super::subject::row;
use crate::adapter::{AdapterSettings, Adapting, adapt};
use crate::dataset::Conversation;
use crate::optimizer::{AdamW, clip};
use crate::sft::{Pass, SftRecipe, run_step};
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use std::path::Path;

/// What is learnt to write.
pub const ANSWER: &str = "<think>The nose is short, the tail stands high, and four engines hang below the wings; \
                          the upper deck ends before them.</think><answer>747-400</answer>";

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trained {
    /// The weights themselves.
    Weights,
    /// An adapter.
    Adapter,
    /// An adapter on weights in four bits.
    AdapterOnQuantized,
}

impl Trained {
    /// What tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Weights => "full",
            Self::Adapter => "LoRA",
            Self::AdapterOnQuantized => "QLoRA",
        }
    }
}

/// Gives a model a fresh adapter of the recipe.
///
/// # Errors
/// The recipe names no layer of the model.
pub fn adapt_as(recipe: &SftRecipe, model: &mut VisionLanguageModel, device: &Device) -> Result<()> {
    let adapting = Adapting {
        settings: &recipe.adapter(),
        base: Path::new(""),
        frozen: recipe.frozen(),
        seed: recipe.seed,
    };
    adapt(model, adapting, device)?;
    Ok(())
}

/// A step that can be made again and again.
pub struct Lesson {
    recipe: SftRecipe,
    rows: Vec<Conversation>,
    workers: Workers,
}

impl Lesson {
    /// A step over so many samples with photos of this side.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new(recipe: SftRecipe, photo_side: u32) -> Result<Self> {
        let rows = (0..recipe.samples_per_step() as u32)
            .map(|number| row(number, photo_side, ANSWER))
            .collect::<Result<_>>()?;
        Ok(Self { recipe, rows, workers: Workers::new(1)? })
    }

    /// The model with what is to be trained.
    ///
    /// # Errors
    /// The recipe names no layer of the model.
    pub fn prepare(&self, model: VisionLanguageModel, trained: Trained) -> Result<VisionLanguageModel> {
        if trained == Trained::Weights {
            return Ok(self.recipe.frozen().freeze(model));
        }
        let mut model = model.no_grad();
        if trained == Trained::AdapterOnQuantized {
            let settings = AdapterSettings { quantization_bit: Some(4), ..AdapterSettings::default() };
            if let Some(quantizer) = settings.quantizer() {
                for (_, layer) in model.linears_mut().into_iter().filter(|(name, _)| name != "lm_head") {
                    quantizer.pack(layer);
                }
            }
        }
        let device = model.device();
        adapt_as(&self.recipe, &mut model, &device)?;
        Ok(model)
    }

    /// Loss and gradients.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn pass(&self, model: &VisionLanguageModel, processor: &Processor) -> Result<Pass> {
        let chosen: Vec<Vec<&Conversation>> = self.rows.iter().map(|row| vec![row]).collect();
        run_step(model, processor, &self.recipe, &self.workers, 0, &chosen)
    }

    /// An optimizer that has seen nothing.
    #[must_use]
    pub fn optimizer(&self) -> AdamW {
        AdamW::new(self.recipe.optimizer())
    }

    /// Moves the weights along clipped gradients.
    #[must_use]
    pub fn update(
        &self,
        model: VisionLanguageModel,
        optimizer: &mut AdamW,
        mut pass: Pass,
    ) -> VisionLanguageModel {
        clip(&mut pass.gradients, self.recipe.max_grad_norm);
        optimizer.update(model, pass.gradients, self.recipe.learning_rate)
    }
}
