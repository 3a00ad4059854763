//! How much every step of a run puts through the network, from the heads of the images' files and the
//! texts alone.

use crate::dataset::{Conversation, encode};
use crate::sft::{SftRecipe, choose};
use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use fine_r1_core::image::{Grid, smart_resize};
use fine_r1_core::model::vision::Layout;
use fine_r1_core::recognizer::Processor;
use image::ImageReader;
use std::path::Path;

/// A micro-batch as the network sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Prompts.
    pub batch: usize,
    /// Tokens of the longest; the others are filled up.
    pub seq: usize,
    /// Tokens that are learnt.
    pub labels: usize,
    /// The images.
    pub grids: Vec<Grid>,
    /// Patches of all images.
    pub patches: usize,
    /// Runs of patches that see each other, and patches of the longest: in windows.
    pub windows: [usize; 2],
    /// The same for whole images.
    pub images: [usize; 2],
}

/// What one sample takes.
struct Size {
    tokens: usize,
    labels: usize,
    grids: Vec<Grid>,
}

impl Load {
    /// Micro-batches of the first epoch, or of the run where that is shorter, step by step.
    ///
    /// # Errors
    /// A file cannot be read, or a conversation not rendered.
    pub fn of_steps(
        recipe: &SftRecipe,
        processor: &Processor,
        data: &[Conversation],
        device: &Device,
    ) -> Result<Vec<Vec<Self>>> {
        let steps_per_epoch = data.len().div_ceil(recipe.samples_per_step());
        let steps = steps_per_epoch.min(recipe.total_steps(data.len()));
        (0..steps)
            .map(|step| {
                let mut sizes = Vec::new();
                for row in choose(data, recipe, step, steps_per_epoch) {
                    let size = size(processor, row)?;
                    if size.tokens <= recipe.cutoff_len {
                        sizes.push(size);
                    }
                }
                let batches = sizes.chunks(recipe.per_device_train_batch_size);
                Ok(batches.map(|sizes| Self::new(processor, sizes, device)).collect())
            })
            .collect()
    }

    fn new(processor: &Processor, sizes: &[Size], device: &Device) -> Self {
        let grids: Vec<Grid> = sizes.iter().flat_map(|size| size.grids.iter().copied()).collect();
        let segments = |is_whole: bool| match grids.is_empty() {
            true => [0, 0],
            false => {
                let layout = Layout::new(&processor.config().vision, &grids, device);
                let segments = if is_whole { layout.images } else { layout.windows };
                [segments.count, segments.longest]
            }
        };
        Self {
            batch: sizes.len(),
            seq: sizes.iter().map(|size| size.tokens).max().unwrap_or(0),
            labels: sizes.iter().map(|size| size.labels).sum(),
            patches: grids.iter().map(Grid::patches).sum(),
            windows: segments(false),
            images: segments(true),
            grids,
        }
    }

    /// Tokens that the decoder reads, filling included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.batch * self.seq
    }
}

fn size(processor: &Processor, row: &Conversation) -> Result<Size> {
    let grids: Vec<Grid> = row
        .images
        .iter()
        .map(|path| grid(processor, path).with_context(|| row.source.clone()))
        .collect::<Result<_>>()?;
    let encoded = encode(processor, row, &grids)?;
    let labels = encoded.is_label.iter().skip(1).filter(|is_label| **is_label).count();
    Ok(Size { tokens: encoded.ids.len(), labels, grids })
}

/// The grid of an image whose pixels nobody has read; a picture that lies on its side has as many patches.
fn grid(processor: &Processor, path: &Path) -> Result<Grid> {
    let damaged = || format!("cannot read {}\nhint: check that it is a picture", path.display());
    let reader =
        ImageReader::open(path).with_context(damaged)?.with_guessed_format().with_context(damaged)?;
    let (width, height) = reader.into_dimensions().with_context(damaged)?;
    let settings = processor.preprocessor().settings();
    let (patch, merge) = (settings.patch_size, settings.merge_size);
    let factor = u32::try_from(patch * merge)?;
    let (height, width) = smart_resize(height, width, factor, settings.min_pixels, settings.max_pixels)
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))?;
    Ok(Grid { t: 1, h: height as usize / patch, w: width as usize / patch })
}
