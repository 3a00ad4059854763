//! The loop of reinforcement learning: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed, the step's number and how many questions were read before; a run
//! that is resumed from a checkpoint makes the same steps as one that was never stopped.

use super::alarm::alarms;
use super::gather::{Gathered, Gatherer};
use super::kl::next_coefficient;
use super::learn::Teacher;
use super::log::{LogLine, Timing, read_until};
use super::objective::Objective;
use super::question::{Question, labels, read_questions};
use super::recipe::RlRecipe;
use super::report::write_report;
use super::reward::Jury;
use super::rollout::Drawer;
use super::setup::{Opened, open, total_steps};
use super::state::RunState;
use super::step::Moment;
use super::views::PictureMaker;
use crate::checkpoint::{self, write_file};
use crate::device::OpenDevice;
use crate::optimizer::AdamW;
use crate::progress::interrupted;
use crate::run_folder::{OPTIMIZER, RunFolder, Start};
use crate::sft::learning_rate;
use crate::trainee::Keeper;
use crate::workers::Workers;
use anyhow::{Result, anyhow};
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use std::time::Instant;

/// So many steps in a row may learn nothing before the run ends.
const MOST_EMPTY_STEPS: usize = 5;

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint, reward or disk; what was saved before stays.
pub fn train(objective: Objective, recipe: &RlRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let folder = RunFolder::new(&recipe.output_dir);
    let start = folder.start(resume)?;
    let mut state = match &start {
        Start::Anew => RunState { kl_coefficient: recipe.kl.coefficient, ..RunState::default() },
        Start::From { facts, .. } => *facts,
    };
    let questions = read_questions(&recipe.data)?;
    let labels = labels(&questions);
    let longest = recipe.rollout.max_new_tokens;
    let mut jury = Jury::new(&recipe.reward, recipe.parity.accuracy, labels.clone(), longest)?;
    let Opened { files, processor, mut model, adapter, reference, mut optimizer } =
        open(recipe, &start, device)?;
    let total = total_steps(recipe, &questions);
    let log = recipe.output_dir.join("log.jsonl");
    folder.open()?;
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

    let keeper = Keeper {
        files: &files,
        config: processor.config(),
        adapter: adapter.as_ref(),
        precision: recipe.precision(),
    };
    let save = |state: &RunState, model: &VisionLanguageModel, optimizer: &AdamW| {
        folder.save(state.step, state, |into| {
            keeper.save(into, &model.valid())?;
            checkpoint::write_file_with(&into.join(OPTIMIZER), |path| optimizer.save(path))
        })?;
        folder.keep(recipe.save_total_limit, None)
    };

    let workers = Workers::new(recipe.workers)?;
    let run =
        Run { recipe, questions: &questions, labels: &labels, processor: &processor, workers: &workers };
    let teacher = Teacher { recipe, config: processor.config(), reference: &reference, workers: &workers };
    let (begun, first_step) = (Instant::now(), state.step);
    while state.step < total {
        let step = state.step;
        let mut clock = Instant::now();
        let policy = model.valid();
        let gatherer = run.gatherer(&policy, total);
        let gathered = gatherer.gather(&mut jury, step, state.cursor)?;
        let mut line = LogLine::new(step + 1, total, questions.len(), &gathered);
        line.timing = Timing::of_rollout(lap(&mut clock), gathered.tokens);

        let moment = moment(recipe, step, total, state.kl_coefficient);
        (line.learning_rate, line.kl_coefficient) = (moment.learning_rate, moment.kl_coefficient);
        if !gathered.groups.is_empty() {
            let learnt;
            (model, learnt) = teacher.learn(model, &mut optimizer, &gathered.groups, moment)?;
            line.note(&learnt);
            let sequences = gathered.groups.len() * recipe.answers_per_prompt();
            state.kl_coefficient = next_coefficient(state.kl_coefficient, &recipe.kl, learnt.kl, sequences);
        }
        state.empty_steps = if line.grad_norm > 0.0 { 0 } else { state.empty_steps + 1 };
        state.cursor = gathered.cursor;
        state.step += 1;

        line.timing.update_secs = lap(&mut clock);
        line.alarms = alarms(&history, &line, recipe.rollout.prompts_per_step);
        line.append(&log)?;
        let made = (state.step - first_step) as f64;
        eprintln!("{}", line.line(recipe, begun.elapsed().mul_f64((total - state.step) as f64 / made)));
        line.alarms.iter().for_each(|alarm| eprintln!("warning: {alarm}"));
        if recipe.report_steps > 0 && state.step.is_multiple_of(recipe.report_steps) {
            write_report(recipe, &questions, &gatherer.pictures, &gathered.groups, step)?;
        }
        let (stop, is_last) = (interrupted(), state.step == total);
        if (state.step.is_multiple_of(recipe.save_steps) || stop) && !is_last {
            save(&state, &model, &optimizer)?;
        }
        if stop && !is_last {
            eprintln!("stopped after step {}; go on with --resume", state.step);
            return Ok(());
        }
        if state.empty_steps >= MOST_EMPTY_STEPS {
            if !is_solved(recipe, &line) {
                return Err(nothing_learnt(&gathered));
            }
            eprintln!(
                "all questions are answered rightly: nothing is left to learn after step {}",
                state.step
            );
            break;
        }
        history.push(line);
    }
    save(&state, &model, &optimizer)?;
    keeper.save(&recipe.output_dir, &model.valid())?;
    eprintln!("wrote {}", recipe.output_dir.display());
    Ok(())
}

/// Seconds since the clock was last looked at.
fn lap(clock: &mut Instant) -> f64 {
    let now = Instant::now();
    (now - std::mem::replace(clock, now)).as_secs_f64()
}

fn moment(recipe: &RlRecipe, step: usize, total: usize, kl_coefficient: f64) -> Moment {
    let update = &recipe.update;
    let learning_rate =
        learning_rate(update.lr_scheduler_type, update.learning_rate, update.warmup_steps, step, total);
    Moment { step, total, learning_rate, kl_coefficient }
}

fn is_solved(recipe: &RlRecipe, line: &LogLine) -> bool {
    line.reward.get(&recipe.filter.key).is_some_and(|mean| *mean >= recipe.filter.high)
}

fn nothing_learnt(gathered: &Gathered) -> anyhow::Error {
    anyhow!(
        "the last {MOST_EMPTY_STEPS} steps learnt nothing: {} of {} groups of the last one were neither all right nor \
         all wrong\nhint: look at the answers; easier questions, more answers a question, a higher temperature or \
         another reward give something to learn from",
        gathered.kept,
        gathered.drawn
    )
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
