//! The training loop: readable in one screen, resumable at every checkpoint.
//!
//! What a step sees depends on the seed and the step's number alone; a run that is resumed from a
//! checkpoint makes the same steps as one that was never stopped.

use super::evaluation::evaluation_loss;
use super::plan::Plan;
use super::step::{Pass, run_step};
use super::survey::{Depth, survey};
use super::vision::{self, Lesson};
use super::{SftRecipe, Stage};
use crate::adapter::{AdapterConfig, Adapting};
use crate::checkpoint::{self, write_file};
use crate::dataset::Conversation;
use crate::device::OpenDevice;
use crate::entries::{self, RECIPE};
use crate::journal::{Entry, Evaluation, Journal, Provenance, Training};
use crate::optimizer::{AdamW, NamedGradients, Rates, clip};
use crate::progress::{Progress, interrupted};
use crate::run_folder::{Best, Facts, OPTIMIZER, RunFolder, Start, damaged};
use crate::trainee::{self, Keeper};
use crate::workers::Workers;
use anyhow::{Context, Result, bail};
use burn::module::Module;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::recognizer::{CheckpointFiles, Processor};
use fine_r1_core::weights::Precision;
use std::path::Path;

/// Trains as the recipe says; with `resume` goes on from the run's last checkpoint.
///
/// # Errors
/// Data, checkpoint or disk; what was saved before stays.
pub fn train(recipe: &SftRecipe, device: &OpenDevice, resume: bool) -> Result<()> {
    let folder = RunFolder::new(&recipe.output_dir);
    let start = folder.start(resume)?;
    if resume {
        for difference in entries::differences(folder.path(), recipe, &[])? {
            eprintln!("warning: gone on with otherwise than before: {difference}");
        }
    }
    let (files, processor) = read_processor(recipe)?;
    let plan = Plan::new(recipe, survey(recipe, &processor, Depth::Headers)?)?;
    let mut run = Run::load(recipe, device, folder, &start, files, processor, &plan)?;

    let steps_per_epoch = plan.steps_per_epoch();
    let total = recipe.total_steps(steps_per_epoch);
    let first_step = run.facts.step;
    let mut journal = run.begin(device)?;
    eprintln!(
        "{} samples, {total} steps of {}, from step {first_step}, into {}",
        plan.samples(),
        recipe.samples_per_step(),
        recipe.output_dir.display()
    );
    if let Some(lesson) = &run.lesson {
        let known = match lesson.prior.len() {
            0 => String::new(),
            count => format!(", {count} confounders"),
        };
        eprintln!("{} classes for the vision tower{known}", lesson.classes.len());
    }
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
        let mut pass = run.step(&workers, step, &chosen)?;
        let norm = clip(&mut pass.gradients, recipe.max_grad_norm);
        refuse_nonsense(step, &pass, norm, &chosen)?;
        let rates = recipe.rates(step, total);
        if pass.labels > 0 {
            progress.advance(pass.tokens, chosen.iter().map(Vec::len).sum(), pass.loss);
            run = run.update(pass.gradients, rates);
        } else {
            // No sample has a label. An update would count as a step of the optimizer.
            progress.pass_over();
        }

        let done = step + 1;
        if done.is_multiple_of(recipe.logging_steps) || done == total {
            let epoch = done as f64 / steps_per_epoch as f64;
            journal.write(Entry::Training(Training {
                step: done,
                total_steps: total,
                epoch,
                loss: progress.mean_loss(),
                grad_norm: norm,
                learning_rate: rates.language_model,
                tokens_per_sec: progress.tokens_per_sec(),
                samples_per_sec: progress.samples_per_sec(),
                remaining_secs: progress.remaining().as_secs_f64(),
            }))?;
            eprintln!("{}", progress.line(norm, rates.language_model));
            progress.begin_window();
        }
        let stop = interrupted();
        let is_due = done == total || done.is_multiple_of(recipe.save_steps);
        let saves = is_due || stop;
        let measures = recipe.eval_steps > 0 && done.is_multiple_of(recipe.eval_steps);
        // What a run that is not stopped here would measure is measured: it is not come back to.
        if !validation.is_empty() && (measures || is_due) {
            run.measure(&validation, done, saves, &mut journal)?;
        }
        if saves {
            run.save(done)?;
        }
        if stop && done < total {
            eprintln!("stopped after step {done}; go on with --resume");
            return Ok(());
        }
    }
    if recipe.plot_loss {
        journal.plot()?;
    }
    run.finish()
}

/// Stops at a loss or a gradient that is no number, before it spoils the weights.
fn refuse_nonsense(step: usize, pass: &Pass, norm: f32, chosen: &[Vec<&Conversation>]) -> Result<()> {
    if pass.loss.is_finite() && norm.is_finite() {
        return Ok(());
    }
    let rows: Vec<&str> = chosen.iter().flatten().map(|row| row.source.as_str()).collect();
    bail!(
        "step {}: the loss is {} and the gradient's norm {norm}; nothing was changed by this step\n  batch: {}\n\
         hint: look at these rows, or lower learning_rate",
        step + 1,
        pass.loss,
        rows.join("\n         ")
    )
}

/// What a run carries from step to step.
struct Run<'recipe> {
    recipe: &'recipe SftRecipe,
    folder: RunFolder,
    files: CheckpointFiles,
    processor: Processor,
    model: VisionLanguageModel,
    /// What is trained, where it is not the model itself.
    adapter: Option<AdapterConfig>,
    /// In the stage `vision`.
    lesson: Option<Lesson>,
    optimizer: AdamW,
    facts: Facts,
}

impl<'recipe> Run<'recipe> {
    fn load(
        recipe: &'recipe SftRecipe,
        device: &OpenDevice,
        folder: RunFolder,
        start: &Start<Facts>,
        files: CheckpointFiles,
        processor: Processor,
        plan: &Plan,
    ) -> Result<Self> {
        let (saved, facts) = match start {
            Start::Anew => (None, Facts::default()),
            Start::From { folder, facts } => (Some(folder.as_path()), *facts),
        };
        let (model, adapter) = load_model(recipe, saved, &processor, device)?;
        let hidden = processor.config().text.hidden_size;
        let lesson = match recipe.stage {
            Stage::Vision => Some(Lesson::begin(&plan.training(), saved, &model, hidden)?),
            Stage::Sft => None,
        };
        let optimizer = match start {
            Start::Anew => AdamW::new(recipe.optimizer()),
            Start::From { folder, .. } => {
                let bytes = checkpoint::map(folder, OPTIMIZER)?;
                AdamW::load(recipe.optimizer(), &bytes, &device.device)
                    .with_context(|| damaged(&folder.join(OPTIMIZER)))?
            }
        };
        Ok(Self { recipe, folder, files, processor, model, adapter, lesson, optimizer, facts })
    }

    /// Writes what is known before the first step.
    fn begin(&self, device: &OpenDevice) -> Result<Journal<Entry>> {
        self.folder.open()?;
        let path = self.folder.path();
        write_file(&path.join(RECIPE), toml::to_string_pretty(self.recipe)?.as_bytes())?;
        Provenance::now(self.facts.step, self.recipe.seed, device.name).write(path)?;
        Journal::open(path, self.facts.step)
    }

    fn step(&self, workers: &Workers, step: usize, chosen: &[Vec<&Conversation>]) -> Result<Pass> {
        let Self { model, processor, recipe, .. } = self;
        match &self.lesson {
            Some(lesson) => vision::run_step(lesson, model, processor, recipe, workers, step, chosen),
            None => run_step(model, processor, recipe, workers, step, chosen),
        }
    }

    fn update(mut self, gradients: NamedGradients, rates: Rates) -> Self {
        let optimizer = &mut self.optimizer;
        let (model, lesson) = match self.lesson {
            Some(lesson) => {
                let (model, lesson) = lesson.update(self.model, optimizer, gradients, rates);
                (model, Some(lesson))
            }
            None => (optimizer.update(self.model, gradients, rates), None),
        };
        Self { model, lesson, ..self }
    }

    /// Measures what the run would write at its end, were this step the last.
    fn measure(
        &mut self,
        rows: &[&Conversation],
        step: usize,
        saves: bool,
        journal: &mut Journal<Entry>,
    ) -> Result<()> {
        let (loss, accuracy) = if let Some(lesson) = &self.lesson {
            let classifier = self.optimizer.averaged(lesson.classifier(&self.model).valid());
            let found = vision::discernment(lesson, &classifier, &self.processor, self.recipe, rows)?;
            (found.loss, Some(found.accuracy))
        } else {
            let model = self.optimizer.averaged(self.model.valid());
            (evaluation_loss(&model, &self.processor, self.recipe, rows)?, None)
        };
        let named =
            accuracy.map(|share| format!(", {:.1} % named rightly,", share * 100.0)).unwrap_or_default();
        eprintln!("step {step}: loss {loss:.4}{named} on samples that are not trained on");
        journal.write(Entry::Evaluation(Evaluation { step, eval_loss: loss, eval_accuracy: accuracy }))?;
        if saves && self.facts.best.is_none_or(|best| loss < best.loss) {
            self.facts.best = Some(Best { step, loss });
        }
        Ok(())
    }

    fn save(&mut self, step: usize) -> Result<()> {
        self.facts.step = step;
        let model = self.model.valid();
        self.folder.save(step, &self.facts, |folder| {
            self.write_model(folder, &model)?;
            if let Some(lesson) = &self.lesson {
                lesson.save(folder)?;
            }
            checkpoint::write_file_with(&folder.join(OPTIMIZER), |path| self.optimizer.save(path))
        })?;
        self.folder.keep(self.recipe.save_total_limit, self.facts.best)
    }

    /// Writes the checkpoint that the run is about: of the last step or the best, averaged where an
    /// average is kept.
    fn finish(&self) -> Result<()> {
        let last = || self.optimizer.averaged(self.model.valid());
        let best =
            self.facts.best.filter(|best| self.recipe.load_best_model_at_end && best.step != self.facts.step);
        let model = match best {
            Some(best) => self.load_best(&best)?,
            None => last(),
        };
        self.write_model(&self.recipe.output_dir, &model)?;
        eprintln!("wrote {}", self.recipe.output_dir.display());
        Ok(())
    }

    fn load_best(&self, best: &Best) -> Result<VisionLanguageModel> {
        let folder = self.folder.state(best.step);
        eprintln!("the lowest loss, {:.4}, was that of {}", best.loss, folder.display());
        let device = OpenDevice {
            device: self.model.device().inner(),
            name: "the run's",
            precision: Some(precision(self.recipe)),
        };
        let model = load_model(self.recipe, Some(&folder), &self.processor, &device)?.0.valid();
        let bytes = checkpoint::map(&folder, OPTIMIZER)?;
        let optimizer = AdamW::load(self.recipe.optimizer(), &bytes, &device.device)
            .with_context(|| damaged(&folder.join(OPTIMIZER)))?;
        Ok(optimizer.averaged(model))
    }

    fn write_model(&self, folder: &Path, model: &VisionLanguageModel) -> Result<()> {
        let keeper = Keeper {
            files: &self.files,
            config: self.processor.config(),
            adapter: self.adapter.as_ref(),
            precision: precision(self.recipe),
        };
        keeper.save(folder, model)
    }
}

/// The model to train, from the start of a run or from what it saved.
fn load_model(
    recipe: &SftRecipe,
    saved: Option<&Path>,
    processor: &Processor,
    device: &OpenDevice,
) -> Result<(VisionLanguageModel, Option<AdapterConfig>)> {
    let adapting = Adapting {
        settings: &recipe.adapter(),
        base: &recipe.model_name_or_path,
        frozen: recipe.frozen(),
        seed: recipe.seed,
    };
    trainee::load(adapting, saved, precision(recipe), processor.config(), device)
}

/// How weights that are trained are held and written.
fn precision(recipe: &SftRecipe) -> Precision {
    if recipe.bf16 { Precision::Bf16 } else { Precision::F32 }
}

/// The files of the checkpoint to start from, with the image sizes of the recipe.
///
/// # Errors
/// A file is missing or malformed.
pub fn read_processor(recipe: &SftRecipe) -> Result<(CheckpointFiles, Processor)> {
    trainee::read_processor(&recipe.model_name_or_path, recipe.image_min_pixels, recipe.image_max_pixels)
}
