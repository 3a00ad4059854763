//! What a vision tower makes of pictures: a vision-language model's, averaged over its tokens, or that of CLIP or
//! SigLIP.

use crate::checkpoint;
use crate::cli::TripletsArgs;
use crate::commands::read_photo;
use crate::dataset::{ImagesByClass, LabelledImage};
use crate::device::{self, OpenDevice};
use crate::evaluate::{is_contrastive, load_contrastive, photo_vectors};
use crate::progress::clock;
use anyhow::{Context, Result, anyhow};
use fine_r1_core::contrastive::Embedder;
use fine_r1_core::recognizer::Recognizer;
use image::RgbImage;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Pictures of equal size that go through a tower together.
const BATCH: usize = 8;

/// Whoever looks.
enum Eyes {
    /// A vision-language model.
    Describes(Box<Recognizer>),
    /// CLIP or SigLIP.
    Compares(Box<Embedder>),
}

impl Eyes {
    fn open(folder: Option<&Path>, device: &OpenDevice) -> Result<Self> {
        match folder.filter(|folder| is_contrastive(folder)) {
            Some(folder) => Ok(Self::Compares(Box::new(load_contrastive(folder, device)?))),
            None => Ok(Self::Describes(Box::new(checkpoint::load(folder, device)?))),
        }
    }

    fn look(&self, photos: &[(&Path, RgbImage)]) -> Result<Vec<Vec<f64>>> {
        match self {
            Self::Describes(recognizer) => {
                photos.iter().map(|(path, photo)| describe(recognizer, path, photo)).collect()
            }
            Self::Compares(embedder) => {
                let wide = |vector: Vec<f32>| vector.into_iter().map(f64::from).collect();
                Ok(photo_vectors(embedder, photos)?.into_iter().map(wide).collect())
            }
        }
    }
}

fn describe(recognizer: &Recognizer, path: &Path, photo: &RgbImage) -> Result<Vec<f64>> {
    let patches = recognizer
        .processor()
        .look_ready(photo)
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))?;
    let tokens = recognizer.model().look(&[&patches], recognizer.processor().config());
    let tokens = tokens.with_context(|| format!("{}: no features", path.display()))?;
    let data = tokens.mean_dim(0).try_into_data().map_err(|error| anyhow!("the device failed: {error:?}"))?;
    Ok(data.iter::<f64>().collect())
}

/// The features of all pictures that were drawn, by their numbers.
///
/// # Errors
/// Checkpoint, pictures, or device.
pub fn features(
    arguments: &TripletsArgs,
    pictures: &[LabelledImage],
    shots: &ImagesByClass,
) -> Result<BTreeMap<usize, Vec<f64>>> {
    let eyes = Eyes::open(arguments.model.as_deref(), &device::open(arguments.device)?)?;
    let drawn: Vec<usize> = shots.values().flatten().copied().collect();
    let begun = Instant::now();
    let mut features = BTreeMap::new();
    for some in drawn.chunks(BATCH) {
        let read = |picture: &usize| {
            let path = pictures[*picture].path.as_path();
            Ok((path, read_photo(path)?))
        };
        let photos = some.iter().map(read).collect::<Result<Vec<_>>>()?;
        features.extend(some.iter().copied().zip(eyes.look(&photos)?));
        let left = begun.elapsed().mul_f64((drawn.len() - features.len()) as f64 / features.len() as f64);
        eprint!("\r  {}/{} pictures  ETA {}   ", features.len(), drawn.len(), clock(left));
    }
    eprintln!();
    Ok(features)
}
