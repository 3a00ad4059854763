//! Step 1: several descriptions of every picture, and the concepts in them that tell it from the others.

use super::concepts::{TEMPERATURE, candidates, scores, select};
use super::desk::Desk;
use super::tracker::Tracker;
use super::{DistillOptions, prompts, seed_of, workers};
use crate::cot::teacher::{Purpose, Question, TeacherError};
use crate::dataset::LabelledImage;
use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;

/// Most tokens of a description, as in SelfSynthX.
const DESCRIPTION_TOKENS: usize = 256;

/// Vectors of length 1 for some texts.
pub type Embed<'run> = dyn Fn(&[String]) -> Result<Vec<Vec<f32>>> + 'run;

/// What is special about a picture.
#[derive(Debug, Clone, Serialize)]
pub struct Described {
    /// The picture.
    pub image: String,
    /// Its label.
    pub label: String,
    /// What tells it from the others, the most telling first.
    pub concepts: Vec<Concept>,
}

/// A visible feature.
#[derive(Debug, Clone, Serialize)]
pub struct Concept {
    /// As a description has it.
    pub text: String,
    /// Its information-bottleneck score.
    pub score: f64,
}

/// Asks for descriptions and chooses concepts; a picture that no description was given of has none.
///
/// # Errors
/// The teacher or the embedder failed.
pub fn describe(
    images: &[LabelledImage],
    desk: &Desk<'_>,
    embed: &Embed,
    options: &DistillOptions,
) -> Result<Vec<Described>> {
    let questions: Vec<(&LabelledImage, usize)> = images
        .iter()
        .flat_map(|image| (0..options.descriptions).map(move |number| (image, number)))
        .collect();
    let tracker = Tracker::new("descriptions", questions.len());
    let texts = workers::each(&questions, options.workers, |(image, number)| {
        let question = Question {
            purpose: Purpose::Description,
            image: image.path.clone(),
            label: image.label.clone(),
            prompt: prompts::description(&options.kind, &image.label, *number),
            max_new_tokens: DESCRIPTION_TOKENS,
            temperature: options.temperature,
            seed: seed_of(options.seed, &image.name, "description", *number),
        };
        let text = match desk.ask(&image.name, &question) {
            Ok(reply) => Some(reply.text).filter(|text| !text.trim().is_empty()),
            Err(TeacherError::Refused(_)) => None,
            Err(TeacherError::Failed(error)) => return Err(error),
        };
        tracker.advance(text.is_some());
        Ok(text)
    })?;
    tracker.finish();

    let per_image: Vec<Vec<String>> = texts
        .chunks(options.descriptions.max(1))
        .map(|texts| texts.iter().flatten().cloned().collect())
        .collect();
    let lists: Vec<Vec<String>> =
        images.iter().zip(&per_image).map(|(image, texts)| candidates(texts, &image.label)).collect();
    let description_vectors = embed_lists(embed, &per_image)?;
    let concept_vectors = embed_lists(embed, &lists)?;
    Ok((0..images.len())
        .into_par_iter()
        .map(|index| {
            let others: Vec<&[f32]> = description_vectors
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .flat_map(|(_, vectors)| vectors.iter().map(Vec::as_slice))
                .collect();
            let scores = scores(&concept_vectors[index], &description_vectors[index], &others, TEMPERATURE);
            let concepts = select(&scores)
                .into_iter()
                .map(|number| Concept { text: lists[index][number].clone(), score: scores[number] })
                .collect();
            Described { image: images[index].name.clone(), label: images[index].label.clone(), concepts }
        })
        .collect())
}

/// Embeds all texts together and gives every list its own back.
fn embed_lists(embed: &Embed, lists: &[Vec<String>]) -> Result<Vec<Vec<Vec<f32>>>> {
    let mut vectors = embed(&lists.concat())?.into_iter();
    Ok(lists.iter().map(|list| vectors.by_ref().take(list.len()).collect()).collect())
}
