//! Steps of training of a checkpoint of random weights.

use super::ceilings::Ceilings;
use super::clock::{median, wait};
use super::fine_tuning::{Lesson, Trained, adapt_as};
use super::load::Sizes;
use super::report::Measurement;
use super::subject::Subject;
use super::tapo::{Round, StepSize, drawn_tokens, tokens};
use crate::sft::SftRecipe;
use anyhow::Result;
use burn::module::Module;
use burn::tensor::Device;
use std::time::Instant;

/// Steps before the first that counts.
const WARM_UPS: usize = 1;
/// Products a weight and a token: forwards, back to the input, back to the weight.
const FLOPS_FULL: f64 = 6.0;
/// Without the last.
const FLOPS_ADAPTER: f64 = 4.0;

/// Steps of fine-tuning, of the language model's weights and of an adapter; the vision tower is frozen, as in
/// the recipes.
///
/// # Errors
/// The device failed.
pub fn measure_sft(
    subject: &Subject,
    sizes: &Sizes,
    ceilings: Ceilings,
    device: &Device,
) -> Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    for trained in [Trained::Adapter, Trained::Weights] {
        eprintln!("fine-tuning: {}", trained.name());
        device.memory_cleanup();
        let recipe = SftRecipe {
            per_device_train_batch_size: sizes.sft_samples,
            gradient_checkpointing: true,
            lora_rank: sizes.lora_rank,
            ..SftRecipe::default()
        };
        let recording = device.clone().autodiff();
        let lesson = Lesson::new(recipe, subject.photo_side)?;
        let model = subject.model(&recording, sizes.precision);
        let mut model = lesson.prepare(model, trained)?;
        let mut optimizer = lesson.optimizer();
        let (mut paces, mut tokens) = (Vec::new(), 0);
        for round in 0..WARM_UPS + sizes.rounds {
            let begun = Instant::now();
            let pass = lesson.pass(&model, &subject.processor)?;
            tokens = pass.tokens;
            model = lesson.update(model, &mut optimizer, pass);
            wait(device);
            if round >= WARM_UPS {
                paces.push(begun.elapsed().as_secs_f64());
            }
        }
        let secs = median(paces);
        let each = if trained == Trained::Weights { FLOPS_FULL } else { FLOPS_ADAPTER };
        let flops = each * (sizes.weights.decoder * tokens) as f64;
        let what = format!("SFT step, {}", trained.name());
        measurements.push(
            Measurement::new(&what, "tokens/s", tokens as f64 / secs, secs)
                .held_against_products(flops, ceilings)
                .with_memory_of(device),
        );
    }
    Ok(measurements)
}

/// Steps of TAPO, of all weights and of an adapter: drawing, learning, and both.
///
/// # Errors
/// The device failed.
pub fn measure_tapo(
    subject: &Subject,
    sizes: &Sizes,
    ceilings: Ceilings,
    device: &Device,
) -> Result<Vec<Measurement>> {
    let size = StepSize {
        questions: sizes.tapo_questions,
        answers: sizes.tapo_answers,
        new_tokens: sizes.new_tokens,
        micro_batch: sizes.tapo_micro_batch,
        photo_side: subject.photo_side,
    };
    let round = Round::new(&subject.processor, size, |_| ())?;
    let mut measurements = Vec::new();
    for trained in [Trained::Adapter, Trained::Weights] {
        eprintln!("TAPO: {}", trained.name());
        device.memory_cleanup();
        let recording = device.clone().autodiff();
        let mut model = subject.model(&recording, sizes.precision);
        if trained == Trained::Adapter {
            let recipe = SftRecipe { lora_rank: sizes.lora_rank, ..SftRecipe::default() };
            model = model.no_grad();
            adapt_as(&recipe, &mut model, &recording)?;
        }
        let mut optimizer = round.optimizer();
        let (mut drawing, mut learning) = (Vec::new(), Vec::new());
        let (mut drawn, mut whole) = (0, 0);
        for number in 0..WARM_UPS + sizes.rounds {
            let begun = Instant::now();
            let groups = round.draw(&model.valid())?;
            wait(device);
            let draw_secs = begun.elapsed().as_secs_f64();
            (model, _) = round.learn(model, &mut optimizer, &groups)?;
            wait(device);
            if number >= WARM_UPS {
                drawing.push(draw_secs);
                learning.push(begun.elapsed().as_secs_f64() - draw_secs);
                (drawn, whole) = (drawn_tokens(&groups), tokens(&groups));
            }
        }
        let (draw_secs, learn_secs) = (median(drawing), median(learning));
        let name = |part: &str| format!("TAPO {part}, {}", trained.name());
        let pace = |part: &str, tokens: usize, secs: f64| {
            Measurement::new(&name(part), "tokens/s", tokens as f64 / secs, secs)
        };
        // The pass with gradients, and one without for the contrast.
        let each = 2.0 + if trained == Trained::Weights { FLOPS_FULL } else { FLOPS_ADAPTER };
        let flops = each * (sizes.weights.decoder * whole) as f64;
        measurements.push(pace("rollout", drawn, draw_secs));
        measurements.push(pace("update", whole, learn_secs).held_against_products(flops, ceilings));
        measurements.push(pace("step", whole, draw_secs + learn_secs).with_memory_of(device));
    }
    Ok(measurements)
}
