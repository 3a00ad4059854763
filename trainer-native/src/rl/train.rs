//! The loop of reinforcement learning: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed, the step's number and how many questions were read before; a run
//! that is resumed from a checkpoint makes the same steps as one that was never stopped.

use super::alarm::alarms;
use super::ending::{MOST_EMPTY_STEPS, explain, is_solved, nothing_learnt};
use super::gather::Gatherer;
use super::kl::next_coefficient;
use super::learn::Teacher;
use super::learnt::Learnt;
use super::log::{LogLine, Timing};
use super::question::{Question, labels, read_questions, require_pictures};
use super::recipe::RlRecipe;
use super::report::write_report;
use super::resumed::differences;
use super::reward::Jury;
use super::rollout::Drawer;
use super::setup::{Opened, open, total_steps};
use super::state::RunState;
use super::step::Moment;
use super::views::PictureMaker;
use crate::checkpoint::{self, write_file};
use crate::device::OpenDevice;
use crate::entries::RECIPE;
use crate::journal::{Journal, Provenance};
use crate::optimizer::AdamW;
use crate::progress::interrupted;
use crate::run_folder::{OPTIMIZER, RunFolder, Start};
use crate::trainee::Keeper;
use crate::workers::Workers;
use anyhow::Result;
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::Processor;
use std::time::Instant;

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint, reward or disk; what was saved before stays.
pub fn train(recipe: &RlRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let folder = RunFolder::new(&recipe.output_dir);
    let start = folder.start(resume)?;
    if resume {
        for difference in differences(folder.path(), recipe)? {
            eprintln!("warning: gone on with otherwise than before: {difference}");
        }
    }
    let mut state = match &start {
        Start::Anew => RunState { kl_coefficient: recipe.kl.coefficient, ..RunState::default() },
        Start::From { facts, .. } => *facts,
    };
    let questions = read_questions(&recipe.data)?;
    require_pictures(&questions, recipe)?;
    let labels = labels(&questions);
    let longest = recipe.rollout.max_new_tokens;
    let mut jury = Jury::new(&recipe.reward, recipe.parity.accuracy, labels.clone(), longest, device)?;
    let Opened { files, processor, mut model, adapter, reference, mut optimizer } =
        open(recipe, &start, device)?;
    let total = total_steps(recipe, &questions);
    folder.open()?;
    write_file(&folder.path().join(RECIPE), toml::to_string_pretty(recipe)?.as_bytes())?;
    Provenance::now(state.step, recipe.seed, device.name).write(folder.path())?;
    let mut journal = Journal::<LogLine>::open(folder.path(), state.step)?;
    eprintln!(
        "{}: {} questions, {total} steps of {} x {} answers, from step {}, into {}",
        recipe.objective.name(),
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
        let gathered = gatherer.gather(&mut jury, step, state.cursor);
        let gathered = gathered.map_err(|error| explain(error, recipe, step))?;
        let mut line = LogLine::new(step + 1, total, questions.len(), &gathered);
        line.timing = Timing::of_rollout(lap(&mut clock), gathered.tokens);

        let rates = recipe.update.rates(step, total);
        let moment = Moment { step, total, rates, kl_coefficient: state.kl_coefficient };
        (line.learning_rate, line.kl_coefficient) = (rates.language_model, moment.kl_coefficient);
        let mut learnt = Learnt::default();
        if !gathered.groups.is_empty() {
            (model, learnt) = teacher.learn(model, &mut optimizer, &gathered.groups, moment)?;
            line.note(&learnt);
            let sequences = gathered.groups.len() * recipe.answers_per_prompt();
            state.kl_coefficient = next_coefficient(state.kl_coefficient, &recipe.kl, learnt.kl, sequences);
        }
        state.empty_steps = if line.has_learnt() { 0 } else { state.empty_steps + 1 };
        state.cursor = gathered.cursor;
        state.step += 1;

        line.timing.update_secs = lap(&mut clock);
        line.alarms = alarms(journal.lines(), &line, recipe.rollout.prompts_per_step);
        journal.write(line.clone())?;
        let made = (state.step - first_step) as f64;
        eprintln!("{}", line.line(recipe, begun.elapsed().mul_f64((total - state.step) as f64 / made)));
        line.alarms.iter().for_each(|alarm| eprintln!("warning: {alarm}"));
        if recipe.report_steps > 0 && state.step.is_multiple_of(recipe.report_steps) {
            let (pictures, groups) = (&gatherer.pictures, &gathered.groups);
            write_report(recipe, &questions, pictures, groups, &learnt.advantages, step)?;
        }
        let (stop, is_last) = (interrupted(), state.step == total);
        if (state.step.is_multiple_of(recipe.save_steps) || stop) && !is_last {
            save(&state, &model, &optimizer)?;
        }
        if stop && !is_last {
            journal.plot()?;
            eprintln!("stopped after step {}; go on with --resume", state.step);
            return Ok(());
        }
        if state.empty_steps >= MOST_EMPTY_STEPS {
            if !is_solved(recipe, &line) {
                return Err(nothing_learnt(recipe, journal.lines()));
            }
            eprintln!(
                "all questions are answered rightly: nothing is left to learn after step {}",
                state.step
            );
            break;
        }
    }
    journal.plot()?;
    save(&state, &model, &optimizer)?;
    keeper.save(folder.path(), &optimizer.averaged(model.valid()))?;
    eprintln!("wrote {}", recipe.output_dir.display());
    Ok(())
}

/// Seconds since the clock was last looked at.
fn lap(clock: &mut Instant) -> f64 {
    let now = Instant::now();
    (now - std::mem::replace(clock, now)).as_secs_f64()
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
