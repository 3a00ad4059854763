//! What a run of fine-tuning will take.

use super::{Estimate, Subject, middle_and_largest, resident_bytes};
use crate::cli::EstimateArgs;
use crate::device;
use crate::estimate::{Load, Probe, Training, Ways};
use crate::sft::{Depth, Plan, SftRecipe, read_processor, read_sequences, survey};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::time::Instant;

/// Reckons with the micro-batches of the first epoch.
///
/// # Errors
/// Recipe, data or checkpoint.
pub fn estimate(arguments: &EstimateArgs) -> Result<Estimate> {
    let recipe = SftRecipe::read(&arguments.recipe, &arguments.overrides)?;
    let device = device::open(arguments.device)?;
    let (_, processor) = read_processor(&recipe)?;
    let program = resident_bytes();
    let training = Training::from(&recipe);
    let subject = Subject::read(training, &recipe.model_name_or_path, &processor, &device)?;
    let trainee = subject.trainee(&processor);
    let plan = Plan::new(&recipe, survey(&recipe, &processor, Depth::Headers)?)?;
    let steps = Load::of_steps(&recipe, &processor, &plan, &device.device);
    let (middle, largest) =
        middle_and_largest(steps.iter().flatten()).context("a plan has at least one sequence")?;
    let memory = trainee.peak(&steps, program);
    eprintln!("measuring the pace of {}", device.name);
    let probe = Probe::new(trainee, subject.precision.dtype(), &device.device);
    // A step of average size: its micro-batches, the update, and the reading of its samples.
    let begun = Instant::now();
    read_sequences(&processor, &recipe, 0, &plan.step(0))?;
    let reading = begun.elapsed().as_secs_f64();
    let rounds: usize = steps.iter().map(|step| step.len().div_ceil(recipe.workers)).sum();
    let rounds = rounds as f64 / steps.len() as f64;
    let micro_batches = rounds * probe.pass(middle, Ways::Both).secs() * subject.sharing();
    let step_secs = micro_batches + probe.update() + reading;
    let total = recipe.total_steps(plan.steps_per_epoch());
    Ok(Estimate {
        recipe: arguments.recipe.display().to_string(),
        device: device.name,
        samples: plan.samples(),
        steps: total,
        tokens_per_step: steps.iter().flatten().map(Load::tokens).sum::<usize>() as f64 / steps.len() as f64,
        weights: subject.weights,
        peak_bytes: memory.total(),
        memory,
        phase_bytes: BTreeMap::new(),
        step_secs,
        phase_secs: BTreeMap::new(),
        total_secs: step_secs * total as f64,
        largest: largest.into(),
    })
}
