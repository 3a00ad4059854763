//! The loop of reinforcement learning: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed, the step's number and how many questions were read before; a run
//! that is resumed from a checkpoint makes the same steps as one that was never stopped.

use super::alarm::alarms;
use super::gather::Gatherer;
use super::kl::next_coefficient;
use super::learn::{Moment, Teacher};
use super::log::{LogLine, Timing, read_until};
use super::objective::Objective;
use super::question::{Question, labels, read_questions};
use super::recipe::RlRecipe;
use super::report::write_report;
use super::reward::Jury;
use super::rollout::Drawer;
use super::state::{OPTIMIZER, RunState, damaged, save_state, start_point};
use super::views::PictureMaker;
use super::workers::Workers;
use crate::checkpoint::{self, explain, read_files, write_file};
use crate::device::OpenDevice;
use crate::optimizer::{AdamW, AdamWConfig};
use crate::progress::interrupted;
use crate::sft::learning_rate;
use anyhow::{Context, Result, bail};
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use std::time::Instant;

/// So many steps in a row may learn nothing before the run ends.
const MOST_EMPTY_STEPS: usize = 5;

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint, reward or disk; what was saved before stays.
pub fn train(objective: Objective, recipe: &RlRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let (start_folder, mut state) = start_point(recipe, resume)?;
    let questions = read_questions(&recipe.data)?;
    let (files, processor) = open_processor(recipe)?;
    let labels = labels(&questions);
    let longest = recipe.rollout.max_new_tokens;
    let mut jury = Jury::new(&recipe.reward, recipe.parity.accuracy, labels.clone(), longest)?;
    // Weights that are trained are kept in f32.
    let plain = OpenDevice { precision: Some(Precision::F32), ..device.clone() };
    let training = OpenDevice { device: device.device.clone().autodiff(), ..plain.clone() };
    let mut model = freeze(checkpoint::load_weights(&start_folder, processor.config(), &training)?, recipe);
    let reference = match recipe.needs_reference() {
        true => Some(checkpoint::load_weights(&recipe.model_name_or_path, processor.config(), &plain)?),
        false => None,
    };
    let mut optimizer = open_optimizer(recipe, &start_folder, state, device)?;
    let total = total_steps(recipe, &questions);
    let log = recipe.output_dir.join("log.jsonl");
    checkpoint::create_folder(&recipe.output_dir)?;
    write_file(&recipe.output_dir.join("recipe.toml"), toml::to_string_pretty(recipe)?.as_bytes())?;
    let mut history = read_until(&log, state.step)?;
    eprintln!(
        "{}: {} questions, {total} steps of {} x {} answers, from step {}, into {}",
        objective.name(),
        questions.len(),
        recipe.rollout.prompts_per_step,
        recipe.answers_per_prompt(),
        state.step,
        recipe.output_dir.display()
    );

    let workers = Workers::new(recipe.workers)?;
    let teacher =
        Teacher { recipe, config: processor.config(), reference: reference.as_ref(), workers: &workers };
    let (begun, first_step) = (Instant::now(), state.step);
    while state.step < total {
        let step = state.step;
        let step_begun = Instant::now();
        let policy = model.valid();
        let run =
            Run { recipe, questions: &questions, labels: &labels, processor: &processor, workers: &workers };
        let gatherer = run.gatherer(&policy, total);
        let gathered = gatherer.gather(&mut jury, step, state.cursor)?;
        let mut line = LogLine::new(step + 1, total, questions.len(), &gathered);
        let rollout_secs = step_begun.elapsed().as_secs_f64();

        let update = &recipe.update;
        let rate =
            learning_rate(update.lr_scheduler_type, update.learning_rate, update.warmup_steps, step, total);
        let moment = Moment { step, total, learning_rate: rate, kl_coefficient: state.kl_coefficient };
        (line.learning_rate, line.kl_coefficient) = (rate, state.kl_coefficient);
        if !gathered.groups.is_empty() {
            let learnt;
            (model, learnt) = teacher.learn(model, &mut optimizer, &gathered.groups, moment)?;
            line.note(&learnt);
            let sequences = gathered.groups.len() * recipe.answers_per_prompt();
            state.kl_coefficient = next_coefficient(state.kl_coefficient, &recipe.kl, learnt.kl, sequences);
        }
        let has_learnt = !gathered.groups.is_empty() && line.loss.total.is_finite() && line.grad_norm > 0.0;
        state.empty_steps = if has_learnt { 0 } else { state.empty_steps + 1 };
        state.cursor = gathered.cursor;
        state.step += 1;

        line.timing = Timing {
            rollout_secs,
            update_secs: step_begun.elapsed().as_secs_f64() - rollout_secs,
            rollout_tokens_per_sec: gathered.tokens as f64 / rollout_secs,
        };
        line.alarms = alarms(&history, &line, recipe.rollout.prompts_per_step);
        line.append(&log)?;
        let remaining =
            begun.elapsed().mul_f64((total - state.step) as f64 / (state.step - first_step) as f64);
        eprintln!("{}", line.line(recipe, remaining));
        line.alarms.iter().for_each(|alarm| eprintln!("warning: {alarm}"));
        if recipe.report_steps > 0 && state.step.is_multiple_of(recipe.report_steps) {
            write_report(recipe, &questions, &gatherer.pictures, &gathered.groups, step)?;
        }
        let stop = interrupted();
        let is_last = state.step == total;
        if (state.step.is_multiple_of(recipe.save_steps) || stop) && !is_last {
            save_state(recipe, &files, &processor, &model, &optimizer, state)?;
        }
        if stop && !is_last {
            eprintln!("stopped after step {}; go on with --resume", state.step);
            return Ok(());
        }
        if state.empty_steps >= MOST_EMPTY_STEPS {
            let solved = line.reward.get(&recipe.filter.key).is_some_and(|mean| *mean >= recipe.filter.high);
            if solved {
                eprintln!(
                    "all questions are answered rightly: nothing is left to learn after step {}",
                    state.step
                );
                break;
            }
            bail!(
                "the last {MOST_EMPTY_STEPS} steps learnt nothing: {} of {} groups of the last one were neither all right \
                 nor all wrong\nhint: look at the answers; easier questions, more answers a question, a higher \
                 temperature or another reward give something to learn from",
                gathered.kept,
                gathered.drawn
            );
        }
        history.push(line);
    }
    save_state(recipe, &files, &processor, &model, &optimizer, state)?;
    checkpoint::save(&recipe.output_dir, &files, processor.config(), &model.valid(), Precision::F32)?;
    eprintln!("wrote {}", recipe.output_dir.display());
    Ok(())
}

/// What all steps of a run share.
struct Run<'run> {
    recipe: &'run RlRecipe,
    questions: &'run [Question],
    labels: &'run [String],
    processor: &'run Processor,
    workers: &'run Workers,
}

impl<'run> Run<'run> {
    fn gatherer(&self, model: &'run VisionLanguageModel, total_steps: usize) -> Gatherer<'run> {
        let Self { recipe, questions, labels, processor, workers } = *self;
        let pictures = PictureMaker {
            processor,
            seed: recipe.seed,
            mask: &recipe.mask,
            mask_space: recipe.parity.mask_space,
            noise: &recipe.noise,
            total_steps,
        };
        let drawer = Drawer {
            model,
            processor,
            workers,
            temperature: recipe.rollout.temperature,
            top_p: recipe.rollout.top_p,
            max_new_tokens: recipe.rollout.max_new_tokens,
            decode_batch: recipe.rollout.decode_batch,
        };
        Gatherer { recipe, questions, labels, pictures, drawer, workers }
    }
}

/// Steps of the run: as many as the epochs have questions for, at least one.
fn total_steps(recipe: &RlRecipe, questions: &[Question]) -> usize {
    match recipe.max_steps {
        0 => {
            let asked = recipe.total_epochs * questions.len() as f64;
            ((asked / recipe.rollout.prompts_per_step as f64) as usize).max(1)
        }
        steps => steps,
    }
}

fn open_optimizer(
    recipe: &RlRecipe,
    folder: &std::path::Path,
    state: RunState,
    device: &OpenDevice,
) -> Result<AdamW> {
    let update = &recipe.update;
    let config = AdamWConfig {
        matrices: update.optim,
        beta_1: update.adam_beta1,
        beta_2: update.adam_beta2,
        epsilon: update.adam_epsilon,
        weight_decay: update.weight_decay,
        average_decay: 0.0,
    };
    match state.step {
        0 => Ok(AdamW::new(config)),
        _ => AdamW::load(config, &checkpoint::map(folder, OPTIMIZER)?, &device.device)
            .with_context(|| damaged(&folder.join(OPTIMIZER))),
    }
}

/// The checkpoint's files; the image sizes of the recipe become those of the checkpoint that is written.
fn open_processor(recipe: &RlRecipe) -> Result<(CheckpointFiles, Processor)> {
    let folder = &recipe.model_name_or_path;
    let mut files = read_files(folder)?;
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    if recipe.image_min_pixels == 0 && recipe.image_max_pixels == 0 {
        return Ok((files, processor));
    }
    let mut preprocessor = processor.preprocessor().clone();
    if recipe.image_min_pixels > 0 {
        preprocessor.min_pixels = recipe.image_min_pixels;
    }
    if recipe.image_max_pixels > 0 {
        preprocessor.max_pixels = recipe.image_max_pixels;
    }
    files.set_image_settings(&preprocessor);
    let processor = Processor::new(&files).map_err(|error| explain(folder, &error))?;
    Ok((files, processor))
}

fn freeze(mut model: VisionLanguageModel, recipe: &RlRecipe) -> VisionLanguageModel {
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
