//! What of a recipe decides what its passes and updates take, whatever it teaches.

use crate::adapter::AdapterSettings;
use crate::optimizer::AdamWConfig;
use crate::rl::RlRecipe;
use crate::sft::SftRecipe;
use crate::trainee::Frozen;
use crate::trunk::Keep;
use fine_r1_core::weights::Precision;

/// What is trained, how, and on how many threads.
#[derive(Debug, Clone)]
pub struct Training {
    /// Parts that stay as they are.
    pub frozen: Frozen,
    /// What stands beside frozen weights.
    pub adapter: AdapterSettings,
    /// What moves the weights.
    pub optimizer: AdamWConfig,
    /// Whether weights that are trained are held in bf16, with masters in f32.
    pub bf16: bool,
    /// What a pass keeps for the way back.
    pub keep: Keep,
    /// Micro-batches at the same time.
    pub workers: usize,
}

impl Training {
    /// How the model's own weights are held, and what its blocks compute in, on a device that loads weights in
    /// `precision`.
    #[must_use]
    pub fn precision(&self, precision: Option<Precision>) -> Precision {
        if self.adapter.is_lora() && self.adapter.whole_modules().is_empty() {
            precision.unwrap_or(Precision::Bf16)
        } else if self.bf16 && !self.adapter.is_lora() {
            Precision::Bf16
        } else {
            Precision::F32
        }
    }
}

impl From<&SftRecipe> for Training {
    fn from(recipe: &SftRecipe) -> Self {
        Self {
            frozen: recipe.frozen(),
            adapter: recipe.adapter(),
            optimizer: recipe.optimizer(),
            bf16: recipe.bf16,
            keep: recipe.keep(),
            workers: recipe.workers,
        }
    }
}

impl From<&RlRecipe> for Training {
    fn from(recipe: &RlRecipe) -> Self {
        Self {
            frozen: recipe.frozen(),
            adapter: recipe.adapter.clone(),
            optimizer: recipe.update.optimizer(),
            bf16: recipe.bf16,
            keep: recipe.update.keep(),
            workers: recipe.workers,
        }
    }
}
