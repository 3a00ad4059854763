//! What the vision tower makes of pictures, kept as long as its weights stay: for a pass without gradient over
//! all answers of a step, or, where tower and merger are frozen, for all passes of the step.

use crate::workers::Workers;
use anyhow::Result;
use burn::tensor::Tensor;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::image::Patches;
use fine_r1_core::model::{Gallery, Prompt, VisionLanguageModel};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Features of images, outside of any graph.
#[derive(Debug)]
pub struct Features(BTreeMap<usize, Known>);

#[derive(Debug)]
struct Known {
    /// Holds the place in memory that images are told apart by.
    image: Arc<Patches>,
    /// `[merged, hidden]`
    features: Tensor<2>,
}

impl Features {
    /// Looks at the images of some prompts, each once and `at_once` together, with a model that does not
    /// record.
    ///
    /// # Errors
    /// A worker failed.
    pub fn look(
        model: &VisionLanguageModel,
        config: &ModelConfig,
        prompts: &[&Prompt],
        at_once: usize,
        workers: &Workers,
    ) -> Result<Self> {
        let gallery = Gallery::new(prompts, &config.vision);
        let found = workers.map(gallery.images().chunks(at_once).collect(), |images| {
            let patches: Vec<&Patches> = images.iter().map(|image| image.as_ref()).collect();
            let Some(features) = model.look(&patches, config) else { return Ok(Vec::new()) };
            let counts = images.iter().map(|image| image.grid.merged(config.vision.spatial_merge_size));
            let parts = features.split_with_sizes(counts.collect(), 0);
            let known = |(image, features): (&&Arc<Patches>, _)| Known { image: Arc::clone(image), features };
            Ok(images.iter().zip(parts).map(known).collect())
        })?;
        Ok(Self(found.into_iter().flatten().map(|known| (place(&known.image), known)).collect()))
    }

    /// Features of the images of these prompts' gallery.
    ///
    /// # Shapes
    /// - output: `[merged, hidden]`, or `None` without images
    ///
    /// # Panics
    /// An image was not looked at.
    #[must_use]
    pub fn of(&self, prompts: &[&Prompt], config: &ModelConfig) -> Option<Tensor<2>> {
        let gallery = Gallery::new(prompts, &config.vision);
        let features = |image: &&Arc<Patches>| self.0[&place(image)].features.clone();
        let all: Vec<Tensor<2>> = gallery.images().iter().map(features).collect();
        (!all.is_empty()).then(|| Tensor::cat(all, 0))
    }
}

fn place(image: &Arc<Patches>) -> usize {
    Arc::as_ptr(image).addr()
}
