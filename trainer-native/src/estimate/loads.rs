//! How much every step of a run puts through the network, from the heads of the images' files and the
//! texts alone.

use crate::sft::{Plan, Row, SftRecipe};
use burn::tensor::Device;
use fine_r1_core::image::Grid;
use fine_r1_core::model::vision::Layout;
use fine_r1_core::recognizer::Processor;

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
    /// Passes that are kept at the same time, all of about this size.
    pub passes: usize,
}

/// What one sequence takes.
#[derive(Debug, Clone)]
pub struct Size {
    /// Its length.
    pub tokens: usize,
    /// Tokens that are learnt.
    pub labels: usize,
    /// The images.
    pub grids: Vec<Grid>,
}

impl Load {
    /// Micro-batches of the first epoch, or of the run where that is shorter, step by step.
    #[must_use]
    pub fn of_steps(
        recipe: &SftRecipe,
        processor: &Processor,
        plan: &Plan,
        device: &Device,
    ) -> Vec<Vec<Self>> {
        let steps_per_epoch = plan.steps_per_epoch();
        let steps = steps_per_epoch.min(recipe.total_steps(steps_per_epoch));
        let loads = |step| {
            let sizes: Vec<Size> = plan.rows(step).iter().map(|rows| Size::of(rows)).collect();
            let batches = sizes.chunks(recipe.per_device_train_batch_size);
            batches.map(|sizes| Self::of_sequences(processor, sizes, device)).collect()
        };
        (0..steps).map(loads).collect()
    }

    /// Sequences with images of their own.
    #[must_use]
    pub fn of_sequences(processor: &Processor, sizes: &[Size], device: &Device) -> Self {
        let grids = sizes.iter().flat_map(|size| size.grids.iter().copied()).collect();
        Self::new(processor, sizes, grids, device)
    }

    /// Sequences that show these images, some of them perhaps the same.
    #[must_use]
    pub fn new(processor: &Processor, sizes: &[Size], grids: Vec<Grid>, device: &Device) -> Self {
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
            passes: 1,
            grids,
        }
    }

    /// Tokens that the decoder reads, filling included.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.batch * self.seq
    }
}

impl Size {
    /// Of rows that share a sequence.
    fn of(rows: &[&Row]) -> Self {
        Self {
            tokens: rows.iter().map(|row| row.measure.tokens).sum(),
            labels: rows.iter().map(|row| row.measure.labels).sum(),
            grids: rows.iter().flat_map(|row| &row.measure.grids).copied().collect(),
        }
    }
}
