//! Stages of the network, forwards: the tower, the prompt, the head, decoding with the cache, and the loss.

use super::comparison::{Comparison, numbers, tolerance};
use super::parity::Pair;
use super::subject::{photo, question};
use crate::commands::read_photo;
use crate::sft::token_loss;
use anyhow::{Result, anyhow};
use fine_r1_core::generate::{SamplingOptions, Session, SessionOptions, StopRules};
use fine_r1_core::image::Patches;
use fine_r1_core::model::Prompt;
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, ask};
use fine_r1_core::recognizer::{AnswerOptions, Outcome, Prepared, Recognizer};
use image::RgbImage;
use std::path::PathBuf;

/// Tokens that are decoded.
const NEW_TOKENS: usize = 24;
/// Where numbers are rounded more coarsely two tokens may change places, and then all that follow:
/// so many must come before.
const SAME_TOKENS: usize = 4;
/// Most tokens of an answer about a photo.
const ANSWER_TOKENS: usize = 160;

/// Compares every stage.
///
/// # Errors
/// The device failed.
pub fn compare(pair: &Pair<'_>, _photos: &[PathBuf]) -> Result<Vec<Comparison>> {
    let [found, expected] = pair.recognizers()?;
    let prompts = prompts(&expected)?;
    let (found_stages, expected_stages) = (stages(&found, &prompts)?, stages(&expected, &prompts)?);
    let mut comparisons: Vec<Comparison> = found_stages
        .into_iter()
        .zip(expected_stages)
        .map(|((what, found), (_, expected))| Comparison::of_numbers(what, pair, &found, &expected))
        .collect();
    comparisons.extend(compare_decoding(pair, &decode(&found, &prompts)?, &decode(&expected, &prompts)?));
    Ok(comparisons)
}

/// Two questions of different length: one has names to choose from.
fn prompts(recognizer: &Recognizer) -> Result<[Prompt; 2]> {
    let processor = recognizer.processor();
    let names = ["A320", "747-400"].map(str::to_owned);
    Ok([question(processor, &photo(0, 168, 168), &[])?, question(processor, &photo(1, 224, 140), &names)?])
}

fn stages(recognizer: &Recognizer, prompts: &[Prompt; 2]) -> Result<Vec<(&'static str, Vec<f32>)>> {
    let (model, config) = (recognizer.model(), recognizer.processor().config());
    let prompts: Vec<&Prompt> = prompts.iter().collect();
    let images: Vec<&Patches> = prompts.iter().flat_map(|prompt| &prompt.images).map(AsRef::as_ref).collect();
    let features = model.look(&images, config).ok_or_else(|| anyhow!("the prompts have photos"))?;
    let embedded = model.embed(&prompts, PaddingSide::Left, config);
    let [batch, seq, hidden] = embedded.states.dims();
    let mut cache = model.cache(seq + NEW_TOKENS, embedded.starts.clone(), config);
    let states =
        model.read(embedded, Some(&mut cache), config).narrow(1, seq - 1, 1).reshape([batch, hidden]);
    let logits = model.logits(states.clone());
    let is_label: Vec<Vec<bool>> = prompts.iter().map(|prompt| vec![true; prompt.ids.len()]).collect();
    let is_label: Vec<&[bool]> = is_label.iter().map(Vec::as_slice).collect();
    let loss = token_loss(model, config, &prompts, &is_label);
    Ok(vec![
        ("vision tower", numbers(features)?),
        ("prompts, after the last norm", numbers(states)?),
        ("logits", numbers(logits)?),
        ("loss of all tokens", numbers(loss)?),
    ])
}

/// Tokens and log-probabilities of both answers, one after the other.
type Decoded = [Vec<(u32, f32)>; 2];

fn decode(recognizer: &Recognizer, prompts: &[Prompt; 2]) -> Result<Decoded> {
    let processor = recognizer.processor();
    let options = SessionOptions {
        sampling: SamplingOptions::default(),
        stop: StopRules { max_new_tokens: NEW_TOKENS, ..StopRules::default() },
        answers: 1,
    };
    let prompts: Vec<&Prompt> = prompts.iter().collect();
    let session =
        Session::begin(recognizer.model(), processor.config(), processor.tokenizer(), &prompts, options);
    let mut session = session?.with_log_probs();
    let mut decoded = Decoded::default();
    while !session.is_finished() {
        for step in pollster::block_on(session.step())? {
            decoded[step.row].push((step.id, step.log_prob.unwrap_or(f32::NAN)));
        }
    }
    Ok(decoded)
}

fn compare_decoding(pair: &Pair<'_>, found: &Decoded, expected: &Decoded) -> Vec<Comparison> {
    let rounds = tolerance(pair) > 1e-3;
    let (mut log_probs, mut alike) = ([Vec::new(), Vec::new()], true);
    for (found, expected) in found.iter().zip(expected) {
        let same = found.iter().zip(expected).take_while(|((left, _), (right, _))| left == right).count();
        alike &= if rounds { same >= SAME_TOKENS } else { same == expected.len() && same == found.len() };
        for (into, from) in log_probs.iter_mut().zip([found, expected]) {
            // Probabilities, as near ones have logarithms near zero.
            into.extend(from[..same].iter().map(|(_, log_prob)| log_prob.exp()));
        }
    }
    let [found, expected] = log_probs;
    vec![
        Comparison::of_equals("decoded tokens of two prompts", pair, alike),
        Comparison::of_numbers("their probabilities", pair, &found, &expected),
    ]
}

/// Has both answer the question about every photo: the answers must be the same, or part where two tokens are as likely
/// as rounding lets be told.
///
/// # Errors
/// A photo cannot be read, or the device failed.
pub fn recognize(pair: &Pair<'_>, photos: &[PathBuf]) -> Result<Vec<Comparison>> {
    let photos: Vec<(String, RgbImage)> = match photos {
        [] => (0..2).map(|number| (format!("made-up photo {number}"), photo(number, 224, 140))).collect(),
        given => given
            .iter()
            .map(|path| {
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Ok((name, read_photo(path)?))
            })
            .collect::<Result<_>>()?,
    };
    let recognizers = pair.recognizers()?;
    photos
        .iter()
        .map(|(name, photo)| {
            let prepare = |recognizer: &Recognizer| -> Result<Prepared> {
                let question = ask("photo", DEFAULT_QUESTION, &[]);
                Ok(recognizer.processor().prepare(&question, std::slice::from_ref(photo))?)
            };
            let answer = |recognizer: &Recognizer| answer(recognizer, &prepare(recognizer)?);
            let [found, expected] = [answer(&recognizers[0])?, answer(&recognizers[1])?];
            let lost = match found.transcript.answer == expected.transcript.answer {
                true => 0.0,
                false => lost(&recognizers[1], &prepare(&recognizers[1])?.prompt, &found, &expected)?,
            };
            let what = format!("recognition of {name}: {}", expected.transcript.answer);
            Ok(Comparison::of_choices(&what, pair, lost))
        })
        .collect()
}

fn answer(recognizer: &Recognizer, prepared: &Prepared) -> Result<Outcome> {
    let options = AnswerOptions {
        sampling: SamplingOptions::default(),
        max_new_tokens: ANSWER_TOKENS,
        stop_strings: Vec::new(),
    };
    let mut answer = recognizer.answer(prepared, &options)?;
    while pollster::block_on(answer.next())?.is_some() {}
    Ok(answer.finish())
}

/// How much less likely than its own the processor finds the first token that the device chose otherwise; without end
/// where one of both ends there.
fn lost(processor: &Recognizer, prompt: &Prompt, found: &Outcome, expected: &Outcome) -> Result<f64> {
    let same =
        found.token_ids.iter().zip(&expected.token_ids).take_while(|(left, right)| left == right).count();
    let (Some(found), Some(own)) = (found.token_ids.get(same), expected.token_ids.get(same)) else {
        return Ok(f64::INFINITY);
    };
    let probability = |last: &u32| -> Result<f64> {
        let mut prompt = prompt.clone();
        prompt.ids.extend(expected.token_ids[..same].iter().chain([last]));
        prompt.positions.push_text(same + 1);
        let is_label: Vec<bool> = (1..=prompt.ids.len()).map(|token| token == prompt.ids.len()).collect();
        let config = processor.processor().config();
        let loss = numbers(token_loss(processor.model(), config, &[&prompt], &[&is_label]))?;
        Ok(f64::from(-loss[0]).exp())
    };
    Ok(probability(own)? - probability(found)?)
}
