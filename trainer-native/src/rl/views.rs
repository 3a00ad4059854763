//! What is looked at: the pictures that answers are drawn from, and those that they are held against.
//!
//! One design covers all objectives: a list of rollout views (a picture, how many answers, which picture
//! they are learnt from) and a list of contrast views (a picture, a coefficient).
//!
//! | | rollout views | learnt from | contrast views |
//! |---|---|---|---|
//! | GRPO, DAPO | anchor | own | |
//! | PAPO | anchor | own | mask |
//! | NoisyRollout | anchor, noise | anchor | |
//! | TAPO | anchor, positive | own | negative |

use super::question::{Question, Source};
use super::schedule::{Annealing, NoiseSettings};
use super::seed::{Purpose, generator};
use anyhow::{Context, Result, anyhow};
use fine_r1_core::image::perturb::{blacken_patches, diffuse};
use fine_r1_core::image::{DecodeLimits, decode, fit};
use fine_r1_core::recognizer::Processor;
use image::RgbImage;
use serde::{Deserialize, Serialize};

/// A picture of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The one that is asked about.
    Anchor,
    /// Another one of the same class.
    Positive,
    /// One of the visually nearest other class; the mask where a row has none, as released.
    Negative,
    /// The anchor with random cells painted black.
    Mask,
    /// The anchor under noise.
    Noise,
}

impl Picture {
    /// Its name in recipes and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Anchor => "anchor",
            Self::Positive => "positive",
            Self::Negative => "negative",
            Self::Mask => "mask",
            Self::Noise => "noise",
        }
    }
}

/// Which picture an answer is learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConditionOn {
    /// The one that it was drawn from.
    #[default]
    Own,
    /// The anchor.
    Anchor,
}

/// An entry of `[views]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutView {
    /// Answers that are drawn from it; 0 leaves it out.
    pub answers: usize,
    /// Which picture they are learnt from.
    #[serde(default)]
    pub conditioned_on: ConditionOn,
}

impl RolloutView {
    /// The picture that answers drawn from `picture` are learnt from.
    #[must_use]
    pub fn condition(&self, picture: Picture) -> Picture {
        match self.conditioned_on {
            ConditionOn::Own => picture,
            ConditionOn::Anchor => Picture::Anchor,
        }
    }
}

/// An entry of `[contrasts]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContrastView {
    /// Weight of the distance to the policy that sees this picture, which the loss rewards.
    pub coefficient: f64,
    /// How the weight is let go; it stays where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annealing: Option<Annealing>,
    /// Whether the distance is computed and logged also where it has no weight.
    #[serde(default)]
    pub measured: bool,
}

/// Where the cells of a mask lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaskSpace {
    /// On the pixels of the file, as released: in a large photo a cell is smaller than a patch.
    #[default]
    Raw,
    /// On the pixels that the model sees, so that cells lie on patches.
    Model,
}

/// The `[mask]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MaskSettings {
    /// Side of a cell in pixels.
    pub cell: u32,
    /// How often a cell is black.
    pub probability: f64,
}

impl Default for MaskSettings {
    fn default() -> Self {
        Self { cell: 14, probability: 0.6 }
    }
}

/// What pictures are made with.
#[derive(Debug, Clone, Copy)]
pub struct PictureMaker<'run> {
    /// Sizes and limits of the model.
    pub processor: &'run Processor,
    /// Of the run.
    pub seed: u64,
    /// The `[mask]` table.
    pub mask: &'run MaskSettings,
    /// Where its cells lie.
    pub mask_space: MaskSpace,
    /// The `[noise]` table.
    pub noise: &'run NoiseSettings,
    /// Steps of the run.
    pub total_steps: usize,
}

impl PictureMaker<'_> {
    /// The pictures of a question in step `step`; `row` is the question's number in the data. The same seed,
    /// step and row make the same pictures.
    ///
    /// # Errors
    /// A file cannot be read, or the row lacks the picture.
    pub fn pictures(
        &self,
        question: &Question,
        row: usize,
        picture: Picture,
        step: usize,
    ) -> Result<Vec<RgbImage>> {
        let photos = read_all(question, question.sources(picture)?)?;
        let picture = match picture {
            Picture::Negative if question.negative.is_none() => Picture::Mask,
            picture => picture,
        };
        let mut random = generator(self.seed, Purpose::Picture, &[step as u64, row as u64]);
        match picture {
            Picture::Anchor | Picture::Positive | Picture::Negative => Ok(photos),
            Picture::Mask => photos
                .into_iter()
                .map(|photo| {
                    let photo = match self.mask_space {
                        MaskSpace::Raw => photo,
                        MaskSpace::Model => {
                            fit(&photo, &self.processor.preprocessor().settings()).map_err(|error| {
                                anyhow!("{}: {error}\nhint: {}", question.source, error.hint())
                            })?
                        }
                    };
                    Ok(blacken_patches(&photo, self.mask.cell, self.mask.probability, &mut random))
                })
                .collect(),
            Picture::Noise => {
                let noise = self.noise.at(step, self.total_steps);
                Ok(photos.iter().map(|photo| diffuse(photo, noise, &mut random)).collect())
            }
        }
    }
}

impl Question {
    /// The files that a picture is made from.
    ///
    /// # Errors
    /// The row lacks the picture.
    pub fn sources(&self, picture: Picture) -> Result<&[Source]> {
        match picture {
            Picture::Anchor | Picture::Mask | Picture::Noise => Ok(&self.images),
            Picture::Negative => Ok(self.negative.as_deref().unwrap_or(&self.images)),
            Picture::Positive => self.positive.as_deref().with_context(|| {
                format!(
                    "{}: the row has no positive picture\nhint: name one in `image_noisy` or `positive`, make rows with \
                     `trainer-native triplets`, or set views.positive.answers=0",
                    self.source
                )
            }),
        }
    }
}

fn read_all(question: &Question, sources: &[Source]) -> Result<Vec<RgbImage>> {
    sources
        .iter()
        .map(|source| {
            let (bytes, name) = source.read(question)?;
            decode(&bytes, &DecodeLimits::default())
                .map_err(|error| anyhow!("{name}: {error}\nhint: {}", error.hint()))
        })
        .collect()
}
