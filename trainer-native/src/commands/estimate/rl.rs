//! What a run of reinforcement learning will take.

use super::{Estimate, Subject, middle_and_largest, resident_bytes};
use crate::cli::EstimateArgs;
use crate::device;
use crate::estimate::{Load, Memory, Probe, Reckoning, RlLoads, Trainee, Training, Ways};
use crate::rl::{Objective, RlRecipe, read_questions, total_steps};
use crate::trainee::read_processor;
use anyhow::{Context, Result};
use fine_r1_core::generate::SamplingOptions;
use std::collections::BTreeMap;

/// Reckons with the steps of the first epoch: memory with answers as long as the recipe lets them be, time with
/// answers of the length that is expected. Neither questions that are left out nor the judging of answers are
/// reckoned with.
///
/// # Errors
/// Recipe, data or checkpoint.
pub fn estimate(objective: Objective, arguments: &EstimateArgs) -> Result<Estimate> {
    let recipe = RlRecipe::read(objective, &arguments.recipe, &arguments.overrides)?;
    let device = device::open(arguments.device)?;
    let base = &recipe.model_name_or_path;
    let (_, processor) = read_processor(base, recipe.image_min_pixels, recipe.image_max_pixels)?;
    let questions = read_questions(&recipe.data)?;
    let program = resident_bytes();
    let subject = Subject::read(Training::from(&recipe), base, &processor, &device)?;
    let trainee = subject.trainee(&processor);
    let reckoning =
        Reckoning { recipe: &recipe, questions: &questions, processor: &processor, device: &device.device };
    let longest = recipe.rollout.max_new_tokens;
    let loads = reckoning.loads(longest)?;
    let phases = phases(&recipe, trainee, &loads, program);
    let memory = phases.values().copied().max_by_key(Memory::total).unwrap_or_default();

    let expected = match arguments.answer_tokens {
        Some(tokens) if tokens < longest => reckoning.loads(tokens)?,
        _ => loads,
    };
    eprintln!("measuring the pace of {}", device.name);
    let probe = Probe::new(trainee, subject.precision.dtype(), &device.device);
    let phase_secs = secs(&recipe, &probe, &expected, arguments.answer_tokens.unwrap_or(longest), &subject)?;
    let step_secs = phase_secs.values().sum();
    let total = total_steps(&recipe, &questions);
    let (_, largest) = middle_and_largest(expected.updates.iter().flatten()).context("a step has answers")?;
    let steps = expected.updates.len() as f64 / expected.updates_per_pass as f64;
    Ok(Estimate {
        recipe: arguments.recipe.display().to_string(),
        device: device.name,
        samples: questions.len(),
        steps: total,
        tokens_per_step: expected.updates.iter().flatten().map(Load::tokens).sum::<usize>() as f64 / steps,
        weights: subject.weights,
        peak_bytes: memory.total(),
        memory,
        phase_bytes: phases.into_iter().map(|(phase, memory)| (phase, memory.total())).collect(),
        step_secs,
        phase_secs,
        total_secs: step_secs * total as f64,
        largest: largest.into(),
    })
}

/// Where the bytes go at the peaks of a step's parts.
fn phases(
    recipe: &RlRecipe,
    trainee: Trainee<'_>,
    loads: &RlLoads,
    program: usize,
) -> BTreeMap<&'static str, Memory> {
    let has_copy = recipe.needs_reference() && !recipe.refers_to_itself();
    let reference = if has_copy { trainee.weights.base_bytes } else { 0 };
    let always = Memory {
        program,
        weights: trainee.weights.bytes,
        reference,
        optimizer: trainee.optimizer(),
        ..Memory::default()
    };
    let busy = |memory: Memory, activations: usize| Memory {
        activations,
        surplus: Memory::surplus_of(activations, trainee.training.workers),
        ..memory
    };
    let rollouts = Memory {
        pictures: loads.drawn_pictures,
        cache: loads.rollouts.cache(trainee.config, trainee.width),
        ..always
    };
    let largest = loads.updates.iter().flatten().map(|load| trainee.in_flight(load)).max().unwrap_or(0);
    let reading = Memory { pictures: loads.learnt_pictures + loads.features, ..always };
    let kept_features = if loads.keeps_features { loads.features } else { 0 };
    let update = Memory {
        reference,
        pictures: loads.learnt_pictures + kept_features,
        ..trainee.peak(&loads.updates, program)
    };
    let mut phases = BTreeMap::from([
        ("rollouts", busy(rollouts, loads.rollouts.in_flight(&trainee))),
        ("update", update),
    ]);
    if loads.readings > 0 || loads.keeps_features {
        phases.insert("readings", busy(reading, trainee.training.workers * largest));
    }
    phases
}

/// Seconds of the parts of a step.
fn secs(
    recipe: &RlRecipe,
    probe: &Probe<'_>,
    loads: &RlLoads,
    answer_tokens: usize,
    subject: &Subject,
) -> Result<BTreeMap<&'static str, f64>> {
    let (middle, _) = middle_and_largest(loads.updates.iter().flatten()).context("a step has answers")?;
    let sharing = subject.sharing();
    let forwards = probe.pass(middle, Ways::Forwards);
    let both = probe.pass(middle, Ways::Both);
    let rounds: usize = loads.updates.iter().map(|update| update.len().div_ceil(recipe.workers)).sum();
    let rounds = rounds as f64 / loads.updates.len() as f64 * loads.updates_per_pass as f64;

    let rollouts = &loads.rollouts;
    let sampling = SamplingOptions {
        temperature: recipe.rollout.temperature,
        top_p: recipe.rollout.top_p,
        ..SamplingOptions::default()
    };
    let context = rollouts.prompts.seq + answer_tokens / 2;
    let token = probe.token(rollouts.rows, context, &sampling);
    let workers = rollouts.workers as f64;
    let sequences = rollouts.answers_per_step as f64 / rollouts.rows as f64 / workers;
    let reads = rollouts.prompts_per_step as f64 / rollouts.prompts.batch as f64 / workers;
    let prompts = probe.pass(&rollouts.prompts, Ways::Forwards).secs() * reads.max(1.0 / workers);
    let drawing = (sequences.max(1.0) * answer_tokens as f64 * token + prompts) * sharing;

    // Pictures are looked at once: for every reading, or, where nothing that makes their features is trained,
    // for the whole step.
    let looks = if loads.keeps_features { 1.0 } else { loads.readings as f64 };
    let look =
        forwards.vision_secs * loads.patches_per_step / middle.patches.max(1) as f64 / recipe.workers as f64;
    let reading = loads.readings as f64 * rounds * forwards.language_secs + looks * look;
    let vision = if loads.keeps_features { 0.0 } else { both.vision_secs };
    let passes = (recipe.update.passes * middle.passes) as f64;
    let learning = passes * rounds * (both.language_secs + vision) * sharing;
    let update = learning + loads.updates_per_step as f64 * probe.update();
    let mut secs = BTreeMap::from([("rollouts", drawing), ("update", update)]);
    if loads.readings > 0 || loads.keeps_features {
        secs.insert("readings", reading * sharing);
    }
    Ok(secs)
}
