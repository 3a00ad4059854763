//! Steps 2 and 3: a rationale for every picture, asked for anew until one passes the filters.

use super::describe::Described;
use super::desk::Desk;
use super::filter::{Reason, Rejection, judge};
use super::report::Rejected;
use super::thought::{CandidateOrder, conversation, place};
use super::tracker::Tracker;
use super::{DistillOptions, prompts, seed_of, workers};
use crate::cot::teacher::{Purpose, Question, TeacherError};
use crate::cot::write::Conversation;
use crate::dataset::LabelledImage;
use anyhow::Result;
use std::path::Path;

/// A text that passed.
#[derive(Debug)]
pub struct Kept {
    /// Ready to be written.
    pub conversation: Conversation,
    /// What the picture shows.
    pub label: String,
    /// Number of the attempt, from 1.
    pub attempt: usize,
    /// How many candidates there are.
    pub candidates: usize,
    /// Where the true name stands among them, from 0.
    pub truth_place: usize,
}

/// What came of one picture.
#[derive(Debug)]
pub struct Outcome {
    /// The text that passed, if one did.
    pub kept: Option<Kept>,
    /// Those that did not.
    pub rejected: Vec<Rejected>,
}

/// One outcome a picture, in their order.
///
/// # Errors
/// The teacher failed.
pub fn reason(
    images: &[LabelledImage],
    desk: &Desk<'_>,
    described: Option<&[Described]>,
    options: &DistillOptions,
) -> Result<Vec<Outcome>> {
    let tracker = Tracker::new("rationales", images.len());
    let numbered: Vec<(usize, &LabelledImage)> = images.iter().enumerate().collect();
    let outcomes = workers::each(&numbered, options.workers, |(index, image)| {
        let concepts: Vec<String> = described
            .map(|described| described[*index].concepts.iter().map(|concept| concept.text.clone()).collect())
            .unwrap_or_default();
        let outcome = attempts(image, &concepts, desk, options)?;
        tracker.advance(outcome.kept.is_some());
        Ok::<_, anyhow::Error>(outcome)
    })?;
    tracker.finish();
    Ok(outcomes)
}

fn attempts(
    image: &LabelledImage,
    concepts: &[String],
    desk: &Desk<'_>,
    options: &DistillOptions,
) -> Result<Outcome> {
    let seed = |what, number| seed_of(options.seed, &image.name, what, number);
    let asked = match &options.question {
        Some(question) => question.clone(),
        None => prompts::question(&options.kind, seed("question", 0)),
    };
    let prompt =
        prompts::rationale(&options.kind, &image.label, concepts, &asked, options.language.eng_name());
    let limits = options.limits();
    let mut rejected = Vec::new();
    for attempt in 1..=options.attempts {
        let question = Question {
            purpose: Purpose::Rationale,
            image: image.path.clone(),
            label: image.label.clone(),
            prompt: prompt.clone(),
            max_new_tokens: options.max_new_tokens,
            temperature: options.temperature,
            seed: seed("rationale", attempt),
        };
        let mut reject = |rejection, text| {
            rejected.push(Rejected::new(&image.name, &image.label, attempt, rejection, text));
        };
        let reply = match desk.ask(&image.name, &question) {
            Ok(reply) => reply,
            Err(TeacherError::Refused(detail)) => {
                // Whoever refused a question refuses it again.
                reject(Rejection { reason: Reason::Refused, detail }, String::new());
                break;
            }
            Err(TeacherError::Failed(error)) => return Err(error),
        };
        match judge(&reply, &image.label, &limits) {
            Err(rejection) => reject(rejection, reply.text),
            Ok(mut found) => {
                if options.order == CandidateOrder::Shuffled {
                    place(&mut found.candidates, &image.label, seed("place", 0));
                }
                let path = Path::new(&options.image_root).join(&image.name).to_string_lossy().into_owned();
                let kept = Kept {
                    label: image.label.clone(),
                    attempt,
                    candidates: found.candidates.len(),
                    truth_place: found
                        .candidates
                        .iter()
                        .position(|name| *name == image.label)
                        .unwrap_or_default(),
                    conversation: conversation(path, &asked, &found, options.form),
                };
                return Ok(Outcome { kept: Some(kept), rejected });
            }
        }
    }
    Ok(Outcome { kept: None, rejected })
}
