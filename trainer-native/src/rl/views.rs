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
use crate::bounded::read_image;
use anyhow::{Context, Result, anyhow};
use fine_r1_core::image::perturb::{blacken_patches, diffuse};
use fine_r1_core::image::{DecodeLimits, decode, fit};
use fine_r1_core::recognizer::Processor;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

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
        let anchor = || read_all(question, &question.images);
        let mut random = generator(self.seed, Purpose::Picture, &[step as u64, row as u64]);
        match picture {
            Picture::Anchor => anchor(),
            Picture::Positive => {
                let paths = question.positive.as_ref().with_context(|| {
                    format!(
                        "{}: the row has no positive picture\nhint: name one in `image_noisy` or `positive`, make rows \
                         with `trainer-native triplets`, or set views.positive.answers=0",
                        question.source
                    )
                })?;
                read_all(question, paths)
            }
            Picture::Negative => match &question.negative {
                Some(paths) => read_all(question, paths),
                None => self.pictures(question, row, Picture::Mask, step),
            },
            Picture::Mask => anchor()?
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
                Ok(anchor()?.iter().map(|photo| diffuse(photo, noise, &mut random)).collect())
            }
        }
    }
}

fn read_all(question: &Question, sources: &[Source]) -> Result<Vec<RgbImage>> {
    sources
        .iter()
        .map(|source| {
            let (bytes, name) = match source {
                Source::Path(path) => (Cow::from(read_image(path)?), path.display().to_string()),
                Source::Bytes(bytes) => (Cow::from(bytes.as_slice()), question.source.clone()),
            };
            decode(&bytes, &DecodeLimits::default())
                .map_err(|error| anyhow!("{name}: {error}\nhint: {}", error.hint()))
        })
        .collect()
}
