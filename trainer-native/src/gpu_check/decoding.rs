//! Prefill and decoding of a checkpoint of random weights.

use super::ceilings::Ceilings;
use super::clock::{median, median_secs, wait};
use super::load::Sizes;
use super::report::Measurement;
use super::subject::Subject;
use anyhow::Result;
use burn::tensor::Device;
use fine_r1_core::generate::{SamplingOptions, Session, SessionOptions, StopRules};
use fine_r1_core::model::VisionLanguageModel;
use std::time::Instant;

/// Measures what a question costs, and what every token of an answer does.
///
/// # Errors
/// The device failed.
pub fn measure(
    subject: &Subject,
    sizes: &Sizes,
    ceilings: Ceilings,
    device: &Device,
) -> Result<Vec<Measurement>> {
    let model = subject.model(device, sizes.precision);
    let mut measurements = vec![prefill(&model, subject, sizes, ceilings, device)?];
    for batch in &sizes.batches {
        eprintln!("decoding {batch} answers together");
        measurements.push(decode(&model, subject, sizes, ceilings, device, *batch)?);
    }
    Ok(measurements)
}

/// From the photo's patches to the first token.
fn prefill(
    model: &VisionLanguageModel,
    subject: &Subject,
    sizes: &Sizes,
    ceilings: Ceilings,
    device: &Device,
) -> Result<Measurement> {
    let secs = median_secs(device, sizes.rounds, || {
        let mut session = begin(model, subject, 1, 2)?;
        pollster::block_on(session.step())?;
        anyhow::Ok(())
    })?;
    let tokens = subject.prompt.ids.len() as f64;
    let patches: usize = subject.prompt.images.iter().map(|image| image.grid.patches()).sum();
    let weights = &sizes.weights;
    let flops = 2.0
        * (weights.decoder as f64 * tokens + weights.vision as f64 * patches as f64 + weights.head as f64);
    Ok(Measurement::new("prefill", "tokens/s", tokens / secs, secs).held_against_products(flops, ceilings))
}

/// Tokens after the first of answers that share a question.
fn decode(
    model: &VisionLanguageModel,
    subject: &Subject,
    sizes: &Sizes,
    ceilings: Ceilings,
    device: &Device,
    batch: usize,
) -> Result<Measurement> {
    let mut paces = Vec::with_capacity(sizes.rounds);
    // The first answer is a warm-up: every length of the cache may need a kernel of its own.
    for round in 0..=sizes.rounds {
        let mut session = begin(model, subject, batch, sizes.new_tokens)?;
        pollster::block_on(session.step())?;
        wait(device);
        let (begun, mut steps) = (Instant::now(), 0);
        while !session.is_finished() {
            pollster::block_on(session.step())?;
            steps += 1;
        }
        if round > 0 {
            paces.push(begun.elapsed().as_secs_f64() / f64::from(steps));
        }
    }
    let secs = median(paces);
    let length = subject.prompt.ids.len() + sizes.new_tokens / 2;
    let weights = &sizes.weights;
    let numbers = weights.decoder + weights.head + batch * length * weights.cache;
    let bytes = (numbers * sizes.precision.bytes()) as f64;
    let flops = 2.0 * (batch * (weights.decoder + weights.head)) as f64;
    let what = format!("decode, batch {batch}");
    Ok(Measurement::new(&what, "tokens/s", batch as f64 / secs, secs)
        .held_against_both(bytes, flops, ceilings))
}

fn begin<'model>(
    model: &'model VisionLanguageModel,
    subject: &'model Subject,
    answers: usize,
    max_new_tokens: usize,
) -> Result<Session<'model>> {
    let processor = &subject.processor;
    // Nothing ends an answer early.
    let stop = StopRules { max_new_tokens, ..StopRules::default() };
    let options = SessionOptions { sampling: SamplingOptions::default(), stop, answers };
    Ok(Session::begin(model, processor.config(), processor.tokenizer(), &[&subject.prompt], options)?)
}
