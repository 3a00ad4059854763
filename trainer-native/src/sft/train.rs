//! The training loop: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed and the step's number alone; a run that is resumed from a
//! checkpoint makes the same steps as one that was never stopped.

use super::{FinetuningType, SftRecipe, learning_rate, token_loss};
use crate::adapter;
use crate::checkpoint::{self, explain, read_files, write_file};
use crate::dataset::{Conversation, augment, encode, epoch_order, read_dataset};
use crate::device::OpenDevice;
use crate::optimizer::{AdamW, AdamWConfig, NamedGradients, accumulate, clip, collect};
use crate::progress::{Progress, interrupted};
use anyhow::{Context, Result, anyhow, bail};
use burn::module::Module;
use fine_r1_core::image::{DecodeLimits, Patches, decode, preprocess};
use fine_r1_core::model::positions::Positions;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

/// A sample, ready for the model.
struct Sample {
    prompt: Prompt,
    is_label: Vec<bool>,
}

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
}

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint or disk; what was saved before stays.
pub fn train(recipe: &SftRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let (start_folder, first_step) = start_point(recipe, resume)?;
    let data = read_all(recipe)?;
    let mut files = read_files(&recipe.model_name_or_path)?;
    let processor = Processor::new(&files).map_err(|error| explain(&recipe.model_name_or_path, &error))?;
    let processor = with_image_size(processor, &mut files, recipe)?;
    // Weights that are trained are kept in f32.
    let training = OpenDevice {
        device: device.device.clone().autodiff(),
        precision: Some(Precision::F32),
        ..device.clone()
    };
    let (mut model, adapter) = match recipe.finetuning_type {
        FinetuningType::Full => {
            let model = checkpoint::load_weights(&start_folder, processor.config(), &training)?;
            (freeze(model, recipe), None)
        }
        FinetuningType::Lora => {
            let saved = resume.then_some(start_folder.as_path());
            let (model, adapter) = adapter::begin(recipe, saved, processor.config(), device)?;
            (model, Some(adapter))
        }
    };
    let save = |folder: &Path, model: &VisionLanguageModel| match &adapter {
        None => checkpoint::save(folder, &files, processor.config(), &model.valid(), Precision::F32),
        Some(adapter) => adapter::save(folder, adapter, model),
    };
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
    let steps_per_epoch = data.len().div_ceil(batch);
    let total = match recipe.max_steps {
        0 => (recipe.num_train_epochs * steps_per_epoch as f64).ceil() as usize,
        steps => steps,
    };
    checkpoint::create_folder(&recipe.output_dir)?;
    write_file(&recipe.output_dir.join("recipe.toml"), toml::to_string_pretty(recipe)?.as_bytes())?;
    eprintln!(
        "{} samples, {total} steps of {batch}, from step {first_step}, into {}",
        data.len(),
        recipe.output_dir.display()
    );

    let workers = Workers::new(recipe.workers)?;
    let mut progress = Progress::new(first_step, total);
    let mut left_out = 0;
    for step in first_step..total {
        let chosen = choose(&data, recipe, step, steps_per_epoch);
        let pass = run_step(&model, &processor, recipe, &workers, step, &chosen)?;
        left_out += pass.left_out;
        let mut gradients = pass.gradients;
        let norm = clip(&mut gradients, recipe.max_grad_norm);
        if !pass.loss.is_finite() || !norm.is_finite() {
            let rows: Vec<&str> = chosen.iter().map(|row| row.source.as_str()).collect();
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
            progress.advance(pass.tokens, chosen.len(), pass.loss);
        } else {
            // All samples were left out. An update would count as a step of the optimizer.
            progress.pass_over();
        }

        let done = step + 1;
        if done.is_multiple_of(recipe.logging_steps) || done == total {
            let line = LogLine {
                step: done,
                total_steps: total,
                epoch: done as f64 / steps_per_epoch as f64,
                loss: progress.mean_loss(),
                grad_norm: norm,
                learning_rate: rate,
                tokens_per_sec: progress.tokens_per_sec(),
                samples_per_sec: progress.samples_per_sec(),
            };
            append(&recipe.output_dir.join("log.jsonl"), &serde_json::to_string(&line)?)?;
            eprintln!("{}", progress.line(norm, rate));
            progress.begin_window();
        }
        let stop = interrupted();
        if done == total || done.is_multiple_of(recipe.save_steps) || stop {
            save_state(recipe, |folder| save(folder, &model), &optimizer, done)?;
        }
        if stop && done < total {
            eprintln!("stopped after step {done}; go on with --resume");
            return Ok(());
        }
    }
    if left_out > 0 {
        eprintln!(
            "warning: {left_out} samples were longer than cutoff_len ({}) and were left out",
            recipe.cutoff_len
        );
    }
    save(&recipe.output_dir, &model)?;
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
    /// Tokens that were learnt from; none where all samples were left out.
    labels: usize,
    left_out: usize,
}

/// Computes the gradient of a step: micro-batches in parallel, joined in a fixed order, every label
/// of the step with equal weight.
fn run_step(
    model: &VisionLanguageModel,
    processor: &Processor,
    recipe: &SftRecipe,
    workers: &Workers,
    step: usize,
    chosen: &[&Conversation],
) -> Result<Pass> {
    let samples = read_samples(processor, recipe, step, chosen)?;
    let (samples, long): (Vec<Sample>, Vec<Sample>) =
        samples.into_iter().partition(|sample| sample.prompt.ids.len() <= recipe.cutoff_len);
    let labels: usize =
        samples.iter().flat_map(|sample| &sample.is_label[1..]).filter(|label| **label).count();
    let tokens = samples.iter().map(|sample| sample.prompt.ids.len()).sum();
    let micro_batches: Vec<(usize, &[Sample])> =
        samples.chunks(recipe.per_device_train_batch_size).enumerate().collect();
    let config = processor.config();
    let mut pass = Pass { loss: 0.0, gradients: NamedGradients::new(), tokens, labels, left_out: long.len() };
    for group in micro_batches.chunks(recipe.workers) {
        let work = |(index, micro_batch): (usize, &[Sample])| {
            let prompts: Vec<&Prompt> = micro_batch.iter().map(|sample| &sample.prompt).collect();
            let is_label: Vec<&[bool]> =
                micro_batch.iter().map(|sample| sample.is_label.as_slice()).collect();
            // Leaves of its own, so that the graphs of two workers share no lock.
            let model = model.clone().fork(&model.device());
            let pass = step * recipe.gradient_accumulation_steps + index;
            let model = adapter::drop_out(model, recipe.lora_dropout, recipe.seed, pass as u64);
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
                    .map(|(micro_batch, pool)| scope.spawn(|| pool.install(|| work(*micro_batch))))
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

/// The samples of a step: the next ones of the epoch's order, which starts anew where it ends.
fn choose<'data>(
    data: &'data [Conversation],
    recipe: &SftRecipe,
    step: usize,
    steps_per_epoch: usize,
) -> Vec<&'data Conversation> {
    let order = epoch_order(data.len(), recipe.seed, (step / steps_per_epoch) as u64);
    let batch = recipe.samples_per_step();
    let start = step % steps_per_epoch * batch;
    order[start..(start + batch).min(data.len())].iter().map(|index| &data[*index]).collect()
}

fn read_samples(
    processor: &Processor,
    recipe: &SftRecipe,
    step: usize,
    chosen: &[&Conversation],
) -> Result<Vec<Sample>> {
    let share = chosen.len().div_ceil(recipe.workers).max(1);
    thread::scope(|scope| {
        let handles: Vec<_> = chosen
            .chunks(share)
            .enumerate()
            .map(|(part, rows)| {
                scope.spawn(move || {
                    let first = step * recipe.samples_per_step() + part * share;
                    let numbered = rows.iter().zip(first..);
                    numbered.map(|(row, number)| read_sample(processor, recipe, number, row)).collect()
                })
            })
            .collect();
        let mut samples = Vec::with_capacity(chosen.len());
        for handle in handles {
            let read: Result<Vec<_>> = handle.join().map_err(|_| anyhow!("a reader thread panicked"))?;
            samples.extend(read?);
        }
        Ok(samples)
    })
}

/// `number` counts the samples of the run, so that a resumed run changes its images alike.
fn read_sample(
    processor: &Processor,
    recipe: &SftRecipe,
    number: usize,
    conversation: &Conversation,
) -> Result<Sample> {
    let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
    random.set_stream(number as u64);
    let images = conversation
        .images
        .iter()
        .map(|path| {
            read_image(path, processor, recipe.image_augmentation, &mut random)
                .with_context(|| conversation.source.clone())
        })
        .collect::<Result<Vec<Patches>>>()?;
    let grids: Vec<_> = images.iter().map(|image| image.grid).collect();
    let encoded = encode(processor, conversation, &grids)?;
    let merge = processor.config().vision.spatial_merge_size;
    let positions = Positions::of_prompt(&encoded.ids, processor.config().tokens.image, &grids, merge)
        .with_context(|| conversation.source.clone())?;
    Ok(Sample { prompt: Prompt { ids: encoded.ids, positions, images }, is_label: encoded.is_label })
}

fn read_image(
    path: &Path,
    processor: &Processor,
    augmentation: f64,
    random: &mut ChaCha8Rng,
) -> Result<Patches> {
    let bytes =
        fs::read(path).with_context(|| format!("cannot read {}\nhint: check the path", path.display()))?;
    decode(&bytes, &DecodeLimits::default())
        .map(|photo| if augmentation > 0.0 { augment(&photo, augmentation, random) } else { photo })
        .and_then(|photo| preprocess(&photo, &processor.preprocessor().settings()))
        .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))
}

/// Reads all data sets; a row that cannot be trained on is found now and not hours later.
fn read_all(recipe: &SftRecipe) -> Result<Vec<Conversation>> {
    /// So many of the rows that cannot be trained on are listed.
    const LISTED: usize = 5;
    let mut rows = Vec::new();
    for name in recipe.dataset.split(',') {
        rows.extend(read_dataset(&recipe.dataset_dir, name.trim(), recipe.media_dir())?);
    }
    if rows.is_empty() {
        bail!("the data sets `{}` have no rows\nhint: write them anew, or leave them out", recipe.dataset);
    }
    let count = rows.len();
    let (mut data, mut problems) = (Vec::with_capacity(count), Vec::new());
    for row in rows {
        match row {
            Ok(conversation) => data.push(conversation),
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(first) = problems.first() {
        let listed: Vec<String> = problems.iter().take(LISTED).map(ToString::to_string).collect();
        let more = if problems.len() > LISTED { "\n  …" } else { "" };
        bail!(
            "{} of {count} rows cannot be trained on\n  {}{more}\nhint: {}",
            problems.len(),
            listed.join("\n  "),
            first.error.hint()
        );
    }
    Ok(data)
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
    save_model: impl FnOnce(&Path) -> Result<()>,
    optimizer: &AdamW,
    step: usize,
) -> Result<()> {
    let folder = recipe.output_dir.join(format!("checkpoint-{step}"));
    let temporary = recipe.output_dir.join(format!("unfinished-{step}"));
    save_model(&temporary)?;
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
