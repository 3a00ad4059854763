//! What the policy is held near: the checkpoint that the run begins with.

use super::recipe::RlRecipe;
use crate::adapter::AdapterSettings;
use crate::device::OpenDevice;
use crate::trainee;
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;
use std::path::PathBuf;

/// The model whose answers' probabilities the policy's are compared with.
#[derive(Debug)]
pub enum Reference {
    /// None is asked for.
    Absent,
    /// The policy with its adapter switched off: no second copy of the weights.
    AdapterOff,
    /// A model of its own, without recording.
    Kept(Box<VisionLanguageModel>),
}

impl Reference {
    /// Opens what a recipe asks for.
    ///
    /// # Errors
    /// A file of the checkpoint is missing or damaged.
    pub fn open(recipe: &RlRecipe, config: &ModelConfig, device: &OpenDevice) -> Result<Self> {
        if !recipe.needs_reference() {
            return Ok(Self::Absent);
        }
        if recipe.refers_to_itself() {
            return Ok(Self::AdapterOff);
        }
        // As it is before a finished adapter brings modules of its own.
        let settings = AdapterSettings { adapter_name_or_path: PathBuf::new(), ..recipe.adapter.clone() };
        let (model, _) = trainee::load(recipe.adapting(&settings), None, recipe.precision(), config, device)?;
        Ok(Self::Kept(Box::new(model.valid().without_adapters())))
    }

    /// The model itself; `policy` is the policy without recording. Weights are shared, not copied.
    #[must_use]
    pub fn model(&self, policy: &VisionLanguageModel) -> Option<VisionLanguageModel> {
        match self {
            Self::Absent => None,
            Self::AdapterOff => Some(policy.without_adapters()),
            Self::Kept(model) => Some(model.as_ref().clone()),
        }
    }
}
