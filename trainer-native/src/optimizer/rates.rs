//! Learning rates by part of the model.

/// A part of the model that may have a learning rate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Patch embedding and vision blocks.
    VisionTower,
    /// From patches to tokens.
    Merger,
    /// Embedding, decoder and head.
    LanguageModel,
}

impl Part {
    /// The part that a weight belongs to, by its stored name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if name.starts_with("visual.merger.") {
            Self::Merger
        } else if name.starts_with("visual.") {
            Self::VisionTower
        } else {
            Self::LanguageModel
        }
    }
}

/// The learning rates of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Of the vision tower.
    pub vision_tower: f64,
    /// Of the merger.
    pub merger: f64,
    /// Of the language model.
    pub language_model: f64,
}

impl From<f64> for Rates {
    fn from(rate: f64) -> Self {
        Self { vision_tower: rate, merger: rate, language_model: rate }
    }
}

impl Rates {
    /// The learning rate of a weight, by its stored name.
    #[must_use]
    pub fn of(&self, name: &str) -> f64 {
        match Part::of(name) {
            Part::VisionTower => self.vision_tower,
            Part::Merger => self.merger,
            Part::LanguageModel => self.language_model,
        }
    }
}
