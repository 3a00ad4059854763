//! From the rows of a step to what the model takes: images, ids, labels and positions.

use super::labels::{LabelRules, encode};
use super::{SftRecipe, packing};
use crate::dataset::{Augmentation, Conversation, ImageSource, augment};
use anyhow::{Context, Result, anyhow};
use fine_r1_core::image::{DecodeLimits, Grid, Patches, decode, decoded_size, preprocess};
use fine_r1_core::model::Prompt;
use fine_r1_core::model::positions::Positions;
use fine_r1_core::recognizer::Processor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::thread;

/// A sample, ready for the model.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Ids, positions and images.
    pub prompt: Prompt,
    /// For every id, whether the model is trained to write it.
    pub is_label: Vec<bool>,
}

/// Reads sequences of samples, spread over threads, in their order. `first` counts the sequences of
/// the run before them, so that a resumed run changes its images alike.
///
/// # Errors
/// An image or a conversation cannot be read; the message names file and row.
pub fn read_sequences(
    processor: &Processor,
    recipe: &SftRecipe,
    first: usize,
    sequences: &[Vec<&Conversation>],
) -> Result<Vec<Sample>> {
    spread(recipe, first, sequences, |rows, change| {
        let mut samples = Vec::with_capacity(rows.len());
        for row in rows {
            let sample = read_sample(processor, recipe.label_rules(), row, change);
            samples.push(sample.with_context(|| row.source.clone())?);
        }
        if samples.len() == 1 { Ok(samples.remove(0)) } else { Ok(packing::join(samples)) }
    })
}

/// Reads the pictures of rows that have one each, as [`read_sequences`] reads samples.
///
/// # Errors
/// An image cannot be read; the message names file and row.
pub fn read_pictures(
    processor: &Processor,
    recipe: &SftRecipe,
    first: usize,
    sequences: &[Vec<&Conversation>],
) -> Result<Vec<Patches>> {
    spread(recipe, first, sequences, |rows, change| {
        let row = rows.first().context("a sequence has a row")?;
        read_picture(processor, row, change)
    })
}

/// Reads the first picture of a row.
///
/// # Errors
/// The image cannot be read; the message names file and row.
pub fn read_picture(processor: &Processor, row: &Conversation, change: &mut Change<'_>) -> Result<Patches> {
    let image = row.images.first().context("the row has no image\nhint: add one");
    image.and_then(|image| read_image(image, processor, change)).with_context(|| row.source.clone())
}

/// Reads sequences on several threads, in their order, each with chances of its own.
fn spread<T: Send>(
    recipe: &SftRecipe,
    first: usize,
    sequences: &[Vec<&Conversation>],
    read: impl Fn(&[&Conversation], &mut Change<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let read_one = |(rows, number): (&Vec<&Conversation>, usize)| {
        let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
        random.set_stream(number as u64);
        let augmentation = recipe.augmentation(number / recipe.samples_per_step());
        read(rows, &mut augmentation.is_any().then_some((augmentation, &mut random)))
    };
    let share = sequences.len().div_ceil(recipe.workers).max(1);
    thread::scope(|scope| {
        let handles: Vec<_> = sequences
            .chunks(share)
            .enumerate()
            .map(|(part, sequences)| {
                scope.spawn(move || sequences.iter().zip(first + part * share..).map(read_one).collect())
            })
            .collect();
        let mut all = Vec::with_capacity(sequences.len());
        for handle in handles {
            let read: Result<Vec<_>> = handle.join().map_err(|_| anyhow!("a reader thread panicked"))?;
            all.extend(read?);
        }
        Ok(all)
    })
}

/// How an image is changed, and by which chances; `None` leaves it as it is.
type Change<'random> = Option<(Augmentation, &'random mut ChaCha8Rng)>;

/// Reads one row; with a change its images are shown another way than they lie on disk.
///
/// # Errors
/// An image cannot be read, or the row does not fit the template.
pub fn read_sample(
    processor: &Processor,
    rules: LabelRules,
    row: &Conversation,
    change: &mut Change<'_>,
) -> Result<Sample> {
    let images = row
        .images
        .iter()
        .map(|image| read_image(image, processor, change))
        .collect::<Result<Vec<Patches>>>()?;
    let grids: Vec<Grid> = images.iter().map(|image| image.grid).collect();
    let encoded = encode(processor, row, &grids, rules)?;
    let merge = processor.config().vision.spatial_merge_size;
    let positions = Positions::of_prompt(&encoded.ids, processor.config().tokens.image, &grids, merge)?;
    let images = images.into_iter().map(Arc::new).collect();
    let prompt = Prompt { ids: encoded.ids, positions, images, ..Prompt::default() };
    Ok(Sample { prompt, is_label: encoded.is_label })
}

fn read_image(image: &ImageSource, processor: &Processor, change: &mut Change<'_>) -> Result<Patches> {
    decode(&image.read()?, &DecodeLimits::default())
        .map(|photo| match change {
            Some((augmentation, random)) => augment(&photo, *augmentation, random),
            None => photo,
        })
        .and_then(|photo| preprocess(&photo, &processor.preprocessor().settings()))
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", image.name(), error.hint()))
}

/// How many patches an image has, from its header alone.
///
/// # Errors
/// The image cannot be read, or its header is damaged.
pub fn measure_image(image: &ImageSource, processor: &Processor) -> Result<Grid> {
    /// Holds the header of nearly every file, with a colour profile and a preview.
    const BEGINNING: usize = 64 << 10;
    let limits = DecodeLimits::default();
    let size = match decoded_size(&image.read_beginning(BEGINNING)?, &limits) {
        Ok(size) => Ok(size),
        Err(_) => decoded_size(&image.read()?, &limits),
    };
    size.and_then(|(width, height)| processor.preprocessor().settings().grid(width, height))
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", image.name(), error.hint()))
}
