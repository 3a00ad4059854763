//! The training loop: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed and the step's number alone; a run that is resumed from a
//! checkpoint makes the same steps as one that was never stopped.

use super::evaluation::evaluation_loss;
use super::plan::Plan;
use super::samples::{Sample, read_sequences};
use super::survey::{Depth, survey};
use super::{SftRecipe, learning_rate, token_loss};
use crate::checkpoint::{self, explain, read_files, write_file};
use crate::dataset::Conversation;
use crate::device::OpenDevice;
use crate::optimizer::{AdamW, AdamWConfig, NamedGradients, accumulate, clip, collect};
use crate::progress::{Progress, interrupted};
use anyhow::{Context, Result, anyhow, bail};
use burn::module::Module;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

/// What a checkpoint of a run remembers besides weights and optimizer.
#[derive(Debug, Serialize, Deserialize)]
struct RunState {
    step: usize,
}

/// One line of `log.jsonl`.
#[derive(Debug, Serialize)]
struct LogLine {
    step: usize,
    total_steps: usize,
    epoch: f64,
    loss: Option<f64>,
    grad_norm: f32,
    learning_rate: f64,
    tokens_per_sec: f64,
    samples_per_sec: f64,
    /// Of the rows that are only measured by, where they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    eval_loss: Option<f64>,
}

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint or disk; what was saved before stays.
pub fn train(recipe: &SftRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let (start_folder, first_step) = start_point(recipe, resume)?;
    let (files, processor) = read_processor(recipe)?;
    let plan = Plan::new(recipe, survey(recipe, &processor, Depth::Headers)?)?;
    // Weights that are trained are kept in f32.
    let training = OpenDevice {
        device: device.device.clone().autodiff(),
        precision: Some(Precision::F32),
        ..device.clone()
    };
    let model = checkpoint::load_weights(&start_folder, processor.config(), &training)?;
    let mut model = freeze(model, recipe);
    let adam = AdamWConfig {
        matrices: recipe.optim,
        beta_1: recipe.adam_beta1,
        beta_2: recipe.adam_beta2,
        epsilon: recipe.adam_epsilon,
        weight_decay: recipe.weight_decay,
    };
    let mut optimizer = match first_step {
        0 => AdamW::new(adam),
        _ => AdamW::load(adam, &checkpoint::map(&start_folder, OPTIMIZER)?, &device.device)
            .with_context(|| damaged(&start_folder.join(OPTIMIZER)))?,
    };

    let batch = recipe.samples_per_step();
    let steps_per_epoch = plan.steps_per_epoch();
    let total = match recipe.max_steps {
        0 => (recipe.num_train_epochs * steps_per_epoch as f64).ceil() as usize,
        steps => steps,
    };
    checkpoint::create_folder(&recipe.output_dir)?;
    write_file(&recipe.output_dir.join("recipe.toml"), toml::to_string_pretty(recipe)?.as_bytes())?;
    eprintln!(
        "{} samples, {total} steps of {batch}, from step {first_step}, into {}",
        plan.samples(),
        recipe.output_dir.display()
    );
    if plan.left_out() > 0 {
        eprintln!(
            "warning: {} samples were longer than cutoff_len ({}) and were left out",
            plan.left_out(),
            recipe.cutoff_len
        );
    }
    let validation = plan.validation();

    let workers = Workers::new(recipe.workers)?;
    let mut progress = Progress::new(first_step, total);
    for step in first_step..total {
        let chosen = plan.step(step);
        let pass = run_step(&model, &processor, recipe, &workers, step, &chosen)?;
        let mut gradients = pass.gradients;
        let norm = clip(&mut gradients, recipe.max_grad_norm);
        if !pass.loss.is_finite() || !norm.is_finite() {
            let rows: Vec<&str> = chosen.iter().flatten().map(|row| row.source.as_str()).collect();
            bail!(
                "step {}: the loss is {} and the gradient's norm {norm}; nothing was changed by this step\n  batch: {}\n\
                 hint: look at these rows, or lower learning_rate",
                step + 1,
                pass.loss,
                rows.join("\n         ")
            );
        }
        let rate =
            learning_rate(recipe.lr_scheduler_type, recipe.learning_rate, recipe.warmup_steps, step, total);
        if pass.labels > 0 {
            model = optimizer.update(model, gradients, rate);
            progress.advance(pass.tokens, chosen.iter().map(Vec::len).sum(), pass.loss);
        } else {
            // No sample has a label. An update would count as a step of the optimizer.
            progress.pass_over();
        }

        let done = step + 1;
        let is_measured =
            !validation.is_empty() && (done.is_multiple_of(recipe.evaluation_interval()) || done == total);
        if done.is_multiple_of(recipe.logging_steps) || done == total || is_measured {
            let mut line = LogLine {
                step: done,
                total_steps: total,
                epoch: done as f64 / steps_per_epoch as f64,
                loss: progress.mean_loss(),
                grad_norm: norm,
                learning_rate: rate,
                tokens_per_sec: progress.tokens_per_sec(),
                samples_per_sec: progress.samples_per_sec(),
                eval_loss: None,
            };
            eprintln!("{}", progress.line(norm, rate));
            if is_measured {
                let loss = evaluation_loss(&model.valid(), &processor, recipe, &validation)?;
                eprintln!("step {done}/{total}  evaluation loss {loss:.4}");
                line.eval_loss = Some(loss);
            }
            append(&recipe.output_dir.join("log.jsonl"), &serde_json::to_string(&line)?)?;
            progress.begin_window();
        }
        let stop = interrupted();
        if done == total || done.is_multiple_of(recipe.save_steps) || stop {
            save_state(recipe, &files, &processor, &model, &optimizer, done)?;
        }
        if stop && done < total {
            eprintln!("stopped after step {done}; go on with --resume");
            return Ok(());
        }
    }
    checkpoint::save(&recipe.output_dir, &files, processor.config(), &model.valid(), Precision::F32)?;
    eprintln!("wrote {}", recipe.output_dir.display());
    Ok(())
}

const OPTIMIZER: &str = "optimizer.safetensors";
const STATE: &str = "trainer_state.json";

/// A pool of one thread for every worker: what burn spreads over the pool that it runs in stays with
/// the worker, instead of meeting the other workers' products in one queue.
struct Workers(Vec<rayon::ThreadPool>);

impl Workers {
    fn new(count: usize) -> Result<Self> {
        let pool = || rayon::ThreadPoolBuilder::new().num_threads(1).build();
        Ok(Self((0..count).map(|_| pool()).collect::<Result<_, _>>()?))
    }
}

/// What one step found.
struct Pass {
    loss: f64,
    gradients: NamedGradients,
    tokens: usize,
    /// Tokens that were learnt from.
    labels: usize,
}

/// Computes the gradient of a step: micro-batches in parallel, joined in a fixed order, every label
/// of the step with equal weight.
fn run_step(
    model: &VisionLanguageModel,
    processor: &Processor,
    recipe: &SftRecipe,
    workers: &Workers,
    step: usize,
    chosen: &[Vec<&Conversation>],
) -> Result<Pass> {
    let samples = read_sequences(processor, recipe, step * recipe.samples_per_step(), chosen)?;
    let labels: usize =
        samples.iter().flat_map(|sample| &sample.is_label[1..]).filter(|label| **label).count();
    let tokens = samples.iter().map(|sample| sample.prompt.ids.len()).sum();
    let micro_batches: Vec<&[Sample]> = samples.chunks(recipe.per_device_train_batch_size).collect();
    let config = processor.config();
    let mut pass = Pass { loss: 0.0, gradients: NamedGradients::new(), tokens, labels };
    for group in micro_batches.chunks(recipe.workers) {
        let work = |micro_batch: &[Sample]| {
            let prompts: Vec<&Prompt> = micro_batch.iter().map(|sample| &sample.prompt).collect();
            let is_label: Vec<&[bool]> =
                micro_batch.iter().map(|sample| sample.is_label.as_slice()).collect();
            // Leaves of its own, so that the graphs of two workers share no lock.
            let model = model.clone().fork(&model.device());
            let loss = token_loss(&model, config, &prompts, &is_label) / labels.max(1) as f64;
            let mut gradients = loss.backward();
            let gradients = collect(&model, &mut gradients);
            (f64::from(loss.into_scalar::<f32>()), gradients)
        };
        let results: Vec<(f64, NamedGradients)> = if group.len() == 1 {
            vec![work(group[0])]
        } else {
            thread::scope(|scope| {
                let handles: Vec<_> = group
                    .iter()
                    .zip(&workers.0)
                    .map(|(micro_batch, pool)| scope.spawn(|| pool.install(|| work(micro_batch))))
                    .collect();
                handles
                    .into_iter()
                    .map(|handle| handle.join().map_err(|_| anyhow!("a worker thread panicked")))
                    .collect::<Result<_>>()
            })?
        };
        for (loss, gradients) in results {
            pass.loss += loss;
            accumulate(&mut pass.gradients, gradients);
        }
    }
    Ok(pass)
}

/// The files of the checkpoint to start from, with the image sizes of the recipe.
///
/// # Errors
/// A file is missing or malformed.
pub fn read_processor(recipe: &SftRecipe) -> Result<(CheckpointFiles, Processor)> {
    let mut files = read_files(&recipe.model_name_or_path)?;
    let processor = Processor::new(&files).map_err(|error| explain(&recipe.model_name_or_path, &error))?;
    let processor = with_image_size(processor, &mut files, recipe)?;
    Ok((files, processor))
}

/// The image sizes of the recipe become those of the checkpoint that is written.
fn with_image_size(
    processor: Processor,
    files: &mut CheckpointFiles,
    recipe: &SftRecipe,
) -> Result<Processor> {
    if recipe.image_min_pixels == 0 && recipe.image_max_pixels == 0 {
        return Ok(processor);
    }
    let mut preprocessor = processor.preprocessor().clone();
    if recipe.image_min_pixels > 0 {
        preprocessor.min_pixels = recipe.image_min_pixels;
    }
    if recipe.image_max_pixels > 0 {
        preprocessor.max_pixels = recipe.image_max_pixels;
    }
    files.preprocessor = serde_json::to_string_pretty(&preprocessor)? + "\n";
    Processor::new(files).map_err(|error| explain(&recipe.model_name_or_path, &error))
}

fn freeze(mut model: VisionLanguageModel, recipe: &SftRecipe) -> VisionLanguageModel {
    if recipe.freeze_vision_tower {
        model.visual.patch_embed = model.visual.patch_embed.no_grad();
        model.visual.blocks = model.visual.blocks.into_iter().map(Module::no_grad).collect();
    }
    if recipe.freeze_multi_modal_projector {
        model.visual.merger = model.visual.merger.no_grad();
    }
    if recipe.freeze_language_model {
        model.model = model.model.no_grad();
        model.lm_head = model.lm_head.map(Module::no_grad);
    }
    model
}

/// The folder to load weights from, and the number of steps they have seen.
fn start_point(recipe: &SftRecipe, resume: bool) -> Result<(PathBuf, usize)> {
    let saved = saved_states(&recipe.output_dir);
    match (resume, saved.last()) {
        (true, Some((step, folder))) => {
            let path = folder.join(STATE);
            let state: RunState =
                serde_json::from_str(&checkpoint::read_text(&path)?).with_context(|| damaged(&path))?;
            Ok((folder.clone(), state.step.max(*step)))
        }
        (true, None) => bail!(
            "{} has no checkpoint to resume from\nhint: leave out --resume to begin, or correct output_dir",
            recipe.output_dir.display()
        ),
        (false, Some(_)) => bail!(
            "{} already holds a run\nhint: go on with --resume, or choose another output_dir",
            recipe.output_dir.display()
        ),
        (false, None) => Ok((recipe.model_name_or_path.clone(), 0)),
    }
}

/// What is said of a saved state that cannot be gone on from.
fn damaged(path: &Path) -> String {
    format!("{} is damaged\nhint: remove this checkpoint to go on from the one before", path.display())
}

/// Saved states of a run, oldest first.
fn saved_states(output_dir: &Path) -> Vec<(usize, PathBuf)> {
    let Ok(entries) = fs::read_dir(output_dir) else { return Vec::new() };
    let mut states: Vec<(usize, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix("checkpoint-")?.parse().ok()?, entry.path()))
        })
        .collect();
    states.sort();
    states
}

/// Writes a state under a temporary name and renames it, then removes states beyond the limit.
fn save_state(
    recipe: &SftRecipe,
    files: &CheckpointFiles,
    processor: &Processor,
    model: &VisionLanguageModel,
    optimizer: &AdamW,
    step: usize,
) -> Result<()> {
    let folder = recipe.output_dir.join(format!("checkpoint-{step}"));
    let temporary = recipe.output_dir.join(format!("unfinished-{step}"));
    checkpoint::save(&temporary, files, processor.config(), &model.valid(), Precision::F32)?;
    write_file(&temporary.join(OPTIMIZER), &optimizer.save()?)?;
    write_file(&temporary.join(STATE), serde_json::to_string(&RunState { step })?.as_bytes())?;
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&temporary, &folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let states = saved_states(&recipe.output_dir);
    for (_, old) in states.iter().take(states.len().saturating_sub(recipe.save_total_limit.max(1))) {
        fs::remove_dir_all(old).with_context(|| format!("cannot remove {}", old.display()))?;
    }
    Ok(())
}

fn append(path: &Path, line: &str) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{line}").with_context(|| format!("cannot write {}", path.display()))
}
