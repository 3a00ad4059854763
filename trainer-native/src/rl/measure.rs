//! How long a question is with one of its pictures, from the heads of the pictures' files and its text alone.

use super::question::{Question, Source};
use super::views::Picture;
use anyhow::{Result, anyhow};
use fine_r1_core::image::{DecodeLimits, Grid, decoded_size};
use fine_r1_core::recognizer::{Processor, RecognizerError};

/// How long a question is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Tokens of the prompt, those of pictures included.
    pub tokens: usize,
    /// Patches of its pictures.
    pub grids: Vec<Grid>,
}

/// Measures a question with one of its pictures.
///
/// # Errors
/// A file cannot be read, its header is damaged, or the row lacks the picture.
pub fn measure(question: &Question, picture: Picture, processor: &Processor) -> Result<Measure> {
    let sources = question.sources(picture)?;
    let grids = sources.iter().map(|source| grid(source, question, processor)).collect::<Result<Vec<_>>>()?;
    let refused = |error: RecognizerError| anyhow!("{}: {error}\nhint: {}", question.source, error.hint());
    let text = processor.render(&question.messages, true).map_err(refused)?;
    let tokens = processor.encode(&text, &grids).map_err(refused)?.len();
    Ok(Measure { tokens, grids })
}

fn grid(source: &Source, question: &Question, processor: &Processor) -> Result<Grid> {
    let (bytes, name) = source.read(question)?;
    decoded_size(&bytes, &DecodeLimits::default())
        .and_then(|(width, height)| processor.preprocessor().settings().grid(width, height))
        .map_err(|error| anyhow!("{name}: {error}\nhint: {}", error.hint()))
}
