//! `estimate`: what a recipe will take, without training.

mod rl;
mod sft;

use crate::checkpoint;
use crate::cli::EstimateArgs;
use crate::device::{OpenDevice, has_passes};
use crate::estimate::{Adapted, Load, Memory, Trainee, Training, Weights, adapted};
use crate::progress::clock;
use anyhow::{Result, anyhow};
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::{Precision, TensorFacts, check_names, read_header};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Duration;

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
    /// Peaks of the parts of a step, in bytes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phase_bytes: BTreeMap<&'static str, usize>,
    step_secs: f64,
    /// Seconds of the parts of a step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    phase_secs: BTreeMap<&'static str, f64>,
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

impl From<&Load> for Largest {
    fn from(load: &Load) -> Self {
        Self { prompts: load.batch, tokens: load.tokens(), patches: load.patches }
    }
}

/// Reckons memory from sizes, and time from single blocks that are measured.
///
/// # Errors
/// Recipe, data or checkpoint.
pub fn run(arguments: &EstimateArgs) -> Result<()> {
    let estimate = match arguments.objective {
        None => sft::estimate(arguments)?,
        Some(objective) => rl::estimate(objective, arguments)?,
    };
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&estimate)?)?;
    } else {
        print(&mut out, &estimate)?;
    }
    Ok(())
}

/// A model that a recipe trains.
struct Subject {
    training: Training,
    adapted: Vec<Adapted>,
    weights: Weights,
    precision: Precision,
    has_passes: bool,
}

impl Subject {
    fn read(training: Training, folder: &Path, processor: &Processor, device: &OpenDevice) -> Result<Self> {
        let mut tensors: Vec<TensorFacts> = Vec::new();
        for name in checkpoint::weight_files(folder)? {
            let facts = read_header(&name, &checkpoint::map(folder, &name)?)
                .map_err(|error| anyhow!("{}: {error}\nhint: {}", folder.display(), error.hint()))?;
            tensors.extend(facts);
        }
        let mut model = VisionLanguageModel::new(processor.config(), &device.device);
        let shapes = check_names(&model, &tensors).expected;
        let adapted = adapted(&training, &mut model)?;
        let packable = |(name, _): (String, _)| (name != "lm_head").then(|| format!("{name}.weight"));
        let matrices: Vec<String> = model.linears_mut().into_iter().filter_map(packable).collect();
        let precision = training.precision(device.precision);
        let weights = Weights::count(&shapes, &training, &adapted, &matrices, precision);
        let has_passes = has_passes(&device.device, precision);
        Ok(Self { training, adapted, weights, precision, has_passes })
    }

    fn trainee<'run>(&'run self, processor: &'run Processor) -> Trainee<'run> {
        let Self { training, adapted, weights, precision, has_passes } = self;
        let (config, width) = (processor.config(), precision.bytes());
        Trainee { training, config, weights, adapted, width, has_passes: *has_passes }
    }

    /// How much longer a micro-batch takes where others are computed beside it: workers share the machine, each
    /// takes its part of the threads that one would have had.
    fn sharing(&self) -> f64 {
        let parallel = self.training.workers.min(rayon::current_num_threads());
        if parallel > 1 { parallel as f64 / 1.1 } else { 1.0 }
    }
}

/// What this program takes already, by what the system says; elsewhere than on Linux what it usually takes.
fn resident_bytes() -> usize {
    const USUAL: usize = 48 << 20;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kibibytes.map_or(USUAL, |kibibytes| kibibytes << 10)
}

/// The middle of some loads by size, and the largest.
fn middle_and_largest<'run>(loads: impl Iterator<Item = &'run Load>) -> Option<(&'run Load, &'run Load)> {
    let mut loads: Vec<&Load> = loads.collect();
    loads.sort_by_key(|load| load.tokens() + load.patches);
    Some((loads.get(loads.len() / 2)?, loads.last()?))
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
        ("reference", memory.reference),
        ("optimizer", memory.optimizer),
        ("pictures", memory.pictures),
        ("cache", memory.cache),
        ("gradients", memory.gradients),
        ("activations", memory.activations),
        ("surplus", memory.surplus),
    ] {
        if bytes > 0 {
            writeln!(out, "  {what:<12}{}", mebibytes(bytes))?;
        }
    }
    for (phase, bytes) in &estimate.phase_bytes {
        writeln!(out, "{:<14}{}, {:.2} s a step", *phase, mebibytes(*bytes), estimate.phase_secs[phase])?;
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
