//! `estimate`: what a recipe will take, without training.

use crate::checkpoint;
use crate::cli::EstimateArgs;
use crate::device::{self, OpenDevice};
use crate::estimate::{Load, Memory, Pace, Weights, peak};
use crate::progress::clock;
use crate::sft::{Depth, FinetuningType, Plan, SftRecipe, read_processor, read_sequences, survey};
use anyhow::{Result, anyhow};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::{TensorFacts, check_names, read_header};
use serde::Serialize;
use std::fs;
use std::io::{Write, stdout};
use std::time::{Duration, Instant};

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Estimate {
    recipe: String,
    device: &'static str,
    samples: usize,
    steps: usize,
    tokens_per_step: f64,
    weights: Weights,
    peak_bytes: usize,
    memory: Memory,
    step_secs: f64,
    total_secs: f64,
    largest: Largest,
}

/// The micro-batch that the peak comes from.
#[derive(Debug, Serialize)]
struct Largest {
    prompts: usize,
    tokens: usize,
    patches: usize,
}

/// Reckons memory from sizes, and time from single blocks that are measured.
///
/// # Errors
/// Recipe, data or checkpoint.
pub fn run(arguments: &EstimateArgs) -> Result<()> {
    let recipe = SftRecipe::read(&arguments.recipe, &arguments.overrides)?;
    if recipe.finetuning_type == FinetuningType::Lora {
        eprintln!(
            "note: adapters are not reckoned with yet: the figures are those of training the weights themselves"
        );
    }
    let device = device::open(arguments.device)?;
    let (_, processor) = read_processor(&recipe)?;
    let program = resident_bytes();
    let weights = count_weights(&recipe, &processor, &device)?;
    let plan = Plan::new(&recipe, survey(&recipe, &processor, Depth::Headers)?)?;
    let steps = Load::of_steps(&recipe, &processor, &plan, &device.device);
    let mut loads: Vec<&Load> = steps.iter().flatten().collect();
    loads.sort_by_key(|load| load.tokens() + load.patches);
    // A plan has at least one sequence.
    let (middle, largest) = (loads[loads.len() / 2], loads[loads.len() - 1]);
    let memory = peak(&recipe, processor.config(), &weights, &steps, program);
    eprintln!("measuring the pace of {}", device.name);
    let pace = Pace::measure(&recipe, processor.config(), &weights, middle, &device.device);
    let step_secs = step_secs(&recipe, &processor, &plan, &steps, &pace)?;
    let total = recipe.total_steps(plan.steps_per_epoch());
    let estimate = Estimate {
        recipe: arguments.recipe.display().to_string(),
        device: device.name,
        samples: plan.samples(),
        steps: total,
        tokens_per_step: loads.iter().map(|load| load.tokens()).sum::<usize>() as f64 / steps.len() as f64,
        weights,
        peak_bytes: memory.total(),
        memory,
        step_secs,
        total_secs: step_secs * total as f64,
        largest: Largest { prompts: largest.batch, tokens: largest.tokens(), patches: largest.patches },
    };
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&estimate)?)?;
    } else {
        print(&mut out, &estimate)?;
    }
    Ok(())
}

fn count_weights(recipe: &SftRecipe, processor: &Processor, device: &OpenDevice) -> Result<Weights> {
    let folder = &recipe.model_name_or_path;
    let mut tensors: Vec<TensorFacts> = Vec::new();
    for name in checkpoint::weight_files(folder)? {
        let facts = read_header(&name, &checkpoint::map(folder, &name)?)
            .map_err(|error| anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint()))?;
        tensors.extend(facts);
    }
    let check = check_names(&VisionLanguageModel::new(processor.config(), &device.device), &tensors);
    Ok(Weights::count(&check.expected, recipe, processor.config().text.tie_word_embeddings))
}

/// A step of average size: its micro-batches, the update, and the reading of its samples.
fn step_secs(
    recipe: &SftRecipe,
    processor: &Processor,
    plan: &Plan,
    steps: &[Vec<Load>],
    pace: &Pace,
) -> Result<f64> {
    let begun = Instant::now();
    read_sequences(processor, recipe, 0, &plan.step(0))?;
    let reading = begun.elapsed().as_secs_f64();
    let rounds: usize = steps.iter().map(|step| step.len().div_ceil(recipe.workers)).sum();
    // Workers share the machine: each takes its part of the threads that one would have had.
    let parallel = recipe.workers.min(rayon::current_num_threads());
    let sharing = if parallel > 1 { parallel as f64 / 1.1 } else { 1.0 };
    Ok(rounds as f64 / steps.len() as f64 * pace.micro_batch_secs * sharing + pace.update_secs + reading)
}

/// What this program takes already, by what the system says; elsewhere than on Linux what it usually takes.
fn resident_bytes() -> usize {
    const USUAL: usize = 48 << 20;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.map_or(USUAL, |kibibytes| kibibytes << 10)
}

fn print(out: &mut impl Write, estimate: &Estimate) -> std::io::Result<()> {
    let mebibytes = |bytes: usize| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let memory = &estimate.memory;
    writeln!(out, "recipe        {} on {}", estimate.recipe, estimate.device)?;
    writeln!(
        out,
        "run           {} samples, {} steps, {:.0} tokens a step",
        estimate.samples, estimate.steps, estimate.tokens_per_step
    )?;
    writeln!(out, "parameters    {} trained of {}", estimate.weights.trained, estimate.weights.total)?;
    writeln!(out, "peak memory   {}", mebibytes(estimate.peak_bytes))?;
    for (what, bytes) in [
        ("program", memory.program),
        ("weights", memory.weights),
        ("optimizer", memory.optimizer),
        ("gradients", memory.gradients),
        ("activations", memory.activations),
        ("surplus", memory.surplus),
    ] {
        writeln!(out, "  {what:<12}{}", mebibytes(bytes))?;
    }
    writeln!(
        out,
        "largest pass  {} prompts, {} tokens, {} patches",
        estimate.largest.prompts, estimate.largest.tokens, estimate.largest.patches
    )?;
    writeln!(
        out,
        "time          {}, {:.2} s a step",
        clock(Duration::from_secs_f64(estimate.total_secs)),
        estimate.step_secs
    )
}
