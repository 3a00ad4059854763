//! From the rows of a data set to what the model takes: choosing the rows of a step, reading their images,
//! ids, labels and positions.

use super::SftRecipe;
use crate::dataset::{Conversation, augment, encode, epoch_order, read_dataset};
use anyhow::{Context, Result, anyhow, bail};
use fine_r1_core::image::{DecodeLimits, Patches, decode, preprocess};
use fine_r1_core::model::Prompt;
use fine_r1_core::model::positions::Positions;
use fine_r1_core::recognizer::Processor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;
use std::thread;

/// A sample, ready for the model.
pub struct Sample {
    /// Ids, positions and images.
    pub prompt: Prompt,
    /// For every id, whether the model is trained to write it.
    pub is_label: Vec<bool>,
}

/// The samples of a step: the next ones of the epoch's order, which starts anew where it ends.
pub fn choose<'data>(
    data: &'data [Conversation],
    recipe: &SftRecipe,
    step: usize,
    steps_per_epoch: usize,
) -> Vec<&'data Conversation> {
    let order = match recipe.disable_shuffling {
        true => (0..data.len()).collect(),
        false => epoch_order(data.len(), recipe.seed, (step / steps_per_epoch) as u64),
    };
    let batch = recipe.samples_per_step();
    let start = step % steps_per_epoch * batch;
    order[start..(start + batch).min(data.len())].iter().map(|index| &data[*index]).collect()
}

/// Reads the samples of a step, spread over threads, in their order.
///
/// # Errors
/// An image or a conversation cannot be read; the message names file and row.
pub fn read_samples(
    processor: &Processor,
    recipe: &SftRecipe,
    step: usize,
    chosen: &[&Conversation],
) -> Result<Vec<Sample>> {
    let share = chosen.len().div_ceil(recipe.workers).max(1);
    thread::scope(|scope| {
        let handles: Vec<_> = chosen
            .chunks(share)
            .enumerate()
            .map(|(part, rows)| {
                scope.spawn(move || {
                    let first = step * recipe.samples_per_step() + part * share;
                    let numbered = rows.iter().zip(first..);
                    numbered.map(|(row, number)| read_sample(processor, recipe, number, row)).collect()
                })
            })
            .collect();
        let mut samples = Vec::with_capacity(chosen.len());
        for handle in handles {
            let read: Result<Vec<_>> = handle.join().map_err(|_| anyhow!("a reader thread panicked"))?;
            samples.extend(read?);
        }
        Ok(samples)
    })
}

/// `number` counts the samples of the run, so that a resumed run changes its images alike.
fn read_sample(
    processor: &Processor,
    recipe: &SftRecipe,
    number: usize,
    conversation: &Conversation,
) -> Result<Sample> {
    let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
    random.set_stream(number as u64);
    let images = conversation
        .images
        .iter()
        .map(|path| {
            read_image(path, processor, recipe.image_augmentation, &mut random)
                .with_context(|| conversation.source.clone())
        })
        .collect::<Result<Vec<Patches>>>()?;
    let grids: Vec<_> = images.iter().map(|image| image.grid).collect();
    let encoded = encode(processor, conversation, &grids)?;
    let merge = processor.config().vision.spatial_merge_size;
    let positions = Positions::of_prompt(&encoded.ids, processor.config().tokens.image, &grids, merge)
        .with_context(|| conversation.source.clone())?;
    Ok(Sample { prompt: Prompt { ids: encoded.ids, positions, images }, is_label: encoded.is_label })
}

fn read_image(
    path: &Path,
    processor: &Processor,
    augmentation: f64,
    random: &mut ChaCha8Rng,
) -> Result<Patches> {
    let bytes =
        fs::read(path).with_context(|| format!("cannot read {}\nhint: check the path", path.display()))?;
    decode(&bytes, &DecodeLimits::default())
        .map(|photo| if augmentation > 0.0 { augment(&photo, augmentation, random) } else { photo })
        .and_then(|photo| preprocess(&photo, &processor.preprocessor().settings()))
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))
}

/// Reads all data sets; a row that cannot be trained on is found now and not hours later.
///
/// # Errors
/// A file cannot be read, or rows cannot be trained on.
pub fn read_all(recipe: &SftRecipe) -> Result<Vec<Conversation>> {
    /// So many of the rows that cannot be trained on are listed.
    const LISTED: usize = 5;
    let mut rows = Vec::new();
    for name in recipe.dataset.split(',') {
        rows.extend(read_dataset(&recipe.dataset_dir, name.trim(), recipe.media_dir())?);
    }
    if rows.is_empty() {
        bail!("the data sets `{}` have no rows\nhint: write them anew, or leave them out", recipe.dataset);
    }
    let count = rows.len();
    let (mut data, mut problems) = (Vec::with_capacity(count), Vec::new());
    for row in rows {
        match row {
            Ok(conversation) => data.push(conversation),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(first) = problems.first() {
        let listed: Vec<String> = problems.iter().take(LISTED).map(ToString::to_string).collect();
        let more = if problems.len() > LISTED { "\n  …" } else { "" };
        bail!(
            "{} of {count} rows cannot be trained on\n  {}{more}\nhint: {}",
            problems.len(),
            listed.join("\n  "),
            first.error.hint()
        );
    }
    Ok(data)
}
