//! What a command line asks of which set, and in which words.

use super::photos::photos_sha256;
use super::store::{FILE, Results};
use super::{DataSet, Prompts, Question, Settings, Task, Variant, can_ask, fingerprint, is_contrastive};
use crate::checkpoint::{self, embedded_files, read_files};
use crate::cli::{Ablation, EvaluateArgs};
use anyhow::{Context, Result, bail};
use fine_r1_core::recognizer::Processor;
use std::path::Path;

/// How CLIP and SigLIP read a name, as the paper has it.
const CLASS_PROMPT: &str = "a photo of a {}";

/// What is asked of which set.
pub struct Plan {
    /// The sets.
    pub sets: Vec<DataSet>,
    /// Questions and the set that each is for.
    pub questions: Vec<(usize, Question)>,
    /// The checkpoint as it was named.
    pub model: String,
    /// Its fingerprint.
    pub model_sha256: String,
    /// Name of the prompts; of CLIP and SigLIP the sentence around a name.
    pub prompt: String,
    /// What goes before a model that writes; `None` for CLIP and SigLIP, which only choose.
    pub processor: Option<Processor>,
    max_new_tokens: usize,
    repetition_penalty: f64,
}

impl Plan {
    /// Plans a run.
    ///
    /// # Errors
    /// Flags do not fit together, or there is nothing to ask.
    pub fn new(arguments: &EvaluateArgs, sets: Vec<DataSet>) -> Result<Self> {
        let folder = arguments.model.as_deref();
        let chooses = folder.is_some_and(is_contrastive);
        refuse_unheard(arguments, chooses)?;
        let prompts = match (arguments.answer_only, &arguments.prompt) {
            (true, _) => Prompts::trained().without_thought()?,
            (false, Some(name)) => Prompts::find(name)?,
            (false, None) => Prompts::trained(),
        };
        let tasks = tasks(arguments, chooses)?;
        let processor = if chooses { None } else { Some(read_processor(folder)?) };
        let adapter = arguments.adapter.as_deref();
        let mut model = folder.map_or(checkpoint::EMBEDDED.to_owned(), |path| path.display().to_string());
        if let Some(adapter) = adapter {
            model = format!("{model} + {}", adapter.display());
        }
        let mut plan = Self {
            model,
            model_sha256: fingerprint(folder, adapter)?,
            prompt: if chooses { class_prompt(arguments).to_owned() } else { prompts.name.clone() },
            sets: Vec::new(),
            questions: Vec::new(),
            max_new_tokens: match processor {
                Some(_) => arguments.max_new_tokens.unwrap_or(prompts.max_new_tokens),
                None => 0,
            },
            repetition_penalty: repetition_penalty(arguments, processor.as_ref()),
            processor,
        };
        for (index, set) in sets.iter().enumerate() {
            let photos = photos_sha256(set);
            for task in &tasks {
                if !can_ask(set, *task) {
                    eprintln!("{}: {} left out, because rows have no options", set.name, task.title());
                    continue;
                }
                for variant in variants(arguments, *task) {
                    let prompts = match variant {
                        Variant::NoThinking => prompts.without_thought()?,
                        _ => prompts.clone(),
                    };
                    let settings = Settings {
                        photos_sha256: photos.clone(),
                        ..plan.settings(arguments, set, *task, variant, &prompts)
                    };
                    plan.questions.push((index, Question { settings, prompts }));
                }
            }
        }
        if plan.questions.is_empty() {
            bail!("there is nothing to ask\nhint: the closed world needs rows with `options`");
        }
        plan.sets = sets;
        Ok(plan)
    }

    fn settings(
        &self,
        arguments: &EvaluateArgs,
        set: &DataSet,
        task: Task,
        variant: Variant,
        prompts: &Prompts,
    ) -> Settings {
        let is_sampled = arguments.samples > 1;
        let prompt = if self.chooses() { class_prompt(arguments) } else { prompts.template(task) };
        Settings {
            set: set.name.clone(),
            data_sha256: set.sha256.clone(),
            photos_sha256: String::new(),
            model_sha256: self.model_sha256.clone(),
            task,
            variant,
            prompt: prompt.to_owned(),
            seed: arguments.seed,
            max_new_tokens: self.max_new_tokens,
            samples: arguments.samples,
            temperature: if is_sampled { arguments.temperature.unwrap_or(1.0) } else { 0.0 },
            top_p: arguments.top_p.unwrap_or(1.0),
            repetition_penalty: self.repetition_penalty,
            scores_options: arguments.score_options && task == Task::ClosedWorld && variant == Variant::Plain,
        }
    }

    /// CLIP or SigLIP, which only choose.
    #[must_use]
    pub fn chooses(&self) -> bool {
        self.processor.is_none()
    }

    /// Refuses answers to rows that a set does not have, before anything is counted of them.
    ///
    /// # Errors
    /// There is such an answer.
    pub fn refuse_strange_rows(&self, results: &Results) -> Result<()> {
        for (set, question) in &self.questions {
            let set = &self.sets[*set];
            if let Some(record) =
                results.of(&question.settings.id()).find(|record| record.row >= set.rows.len())
            {
                bail!(
                    "{FILE} answers row {} of `{}`, which has {} rows, counted from 0\n\
                     hint: the file was changed by hand; delete the line, or name a new folder with --out",
                    record.row,
                    set.name,
                    set.rows.len()
                );
            }
        }
        Ok(())
    }
}

fn class_prompt(arguments: &EvaluateArgs) -> &str {
    arguments.class_prompt.as_deref().unwrap_or(CLASS_PROMPT)
}

/// The flag's, or the checkpoint's, as generation without sampling has it in transformers too.
fn repetition_penalty(arguments: &EvaluateArgs, processor: Option<&Processor>) -> f64 {
    let Some(processor) = processor else { return 1.0 };
    let generation = processor.generation();
    if !generation.ignored.is_empty() {
        let fields = generation.ignored.join(", ");
        eprintln!("warning: generation_config.json sets {fields}, which this program does not heed");
    }
    arguments.repetition_penalty.unwrap_or_else(|| {
        let own = generation.repetition_penalty;
        if own != 1.0 {
            eprintln!(
                "note: repetition penalty {own}, as generation_config.json has it; --repetition-penalty 1 does without"
            );
        }
        own
    })
}

/// Everything of a checkpoint but its weights.
fn read_processor(folder: Option<&Path>) -> Result<Processor> {
    match folder {
        Some(folder) => {
            Processor::new(&read_files(folder)?).map_err(|error| checkpoint::explain(folder, &error))
        }
        None => Processor::new(&embedded_files()).context("the embedded model"),
    }
}

/// Refuses what was typed and would change nothing.
fn refuse_unheard(arguments: &EvaluateArgs, chooses: bool) -> Result<()> {
    let typed = |flags: &[(&'static str, bool)]| -> Vec<&'static str> {
        flags.iter().filter(|(_, is_typed)| *is_typed).map(|(flag, _)| *flag).collect()
    };
    let sampling =
        [("--temperature", arguments.temperature.is_some()), ("--top-p", arguments.top_p.is_some())];
    if chooses {
        let unheard = typed(&[
            ("--prompt", arguments.prompt.is_some()),
            ("--answer-only", arguments.answer_only),
            ("--samples", arguments.samples > 1),
            sampling[0],
            sampling[1],
            ("--repetition-penalty", arguments.repetition_penalty.is_some()),
            ("--max-new-tokens", arguments.max_new_tokens.is_some()),
            ("--score-options", arguments.score_options),
            ("--released-order", arguments.released_order),
            ("--ablate no-thinking", arguments.ablate.contains(&Ablation::NoThinking)),
            ("--probe", arguments.probe.is_some()),
            ("--adapter", arguments.adapter.is_some()),
        ]);
        if !unheard.is_empty() {
            let unheard = unheard.join(", ");
            bail!(
                "CLIP and SigLIP neither write nor think, and choose without an order: {unheard} would change nothing\n\
                 hint: leave out {unheard}; --class-prompt is how they read a name"
            );
        }
        return Ok(());
    }
    if arguments.class_prompt.is_some() {
        bail!(
            "--class-prompt is how CLIP and SigLIP read a name, and the model is neither\nhint: take --prompt"
        );
    }
    let unheard = typed(&sampling);
    if arguments.samples == 1 && !unheard.is_empty() {
        bail!(
            "{} would change nothing, because one answer takes the likeliest tokens\n\
             hint: add --samples 8, or leave it out",
            unheard.join(" and ")
        );
    }
    if arguments.score_options && arguments.samples > 1 {
        bail!("samples give shares already, by their votes\nhint: leave out --score-options or --samples");
    }
    if arguments.samples > 1 && arguments.temperature == Some(0.0) {
        bail!("--temperature 0 gives the same answer {} times\nhint: leave it out", arguments.samples);
    }
    Ok(())
}

/// The tasks that the model can be asked.
fn tasks(arguments: &EvaluateArgs, chooses: bool) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for task in &arguments.task {
        if !tasks.contains(task) {
            tasks.push(*task);
        }
    }
    if !chooses {
        return Ok(tasks);
    }
    if !tasks.contains(&Task::ClosedWorld) {
        bail!("CLIP and SigLIP can only choose among options\nhint: take --task closed");
    }
    Ok(vec![Task::ClosedWorld])
}

/// A task as it is, in released order where asked for, and with parts taken away.
fn variants(arguments: &EvaluateArgs, task: Task) -> Vec<Variant> {
    let mut variants = vec![Variant::Plain];
    if arguments.released_order && task == Task::ClosedWorld {
        variants.push(Variant::ReleasedOrder);
    }
    for ablation in &arguments.ablate {
        let variant = match ablation {
            Ablation::None => continue,
            Ablation::NoThinking => Variant::NoThinking,
            Ablation::ShuffledImage => Variant::ShuffledImage,
            Ablation::BlankImage => Variant::BlankImage,
        };
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    variants
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Arguments, Command};
    use crate::evaluate::rows::tests::row;
    use clap::Parser;

    fn plan(flags: &[&str]) -> Result<Plan> {
        let typed = ["trainer-native", "evaluate", "--data", "x.jsonl"].iter().chain(flags);
        let Command::Evaluate(arguments) = Arguments::try_parse_from(typed).expect("flags").command else {
            panic!("the verb is evaluate");
        };
        let set = DataSet {
            name: "a_seen".into(),
            dataset: "a".into(),
            split: None,
            file: "x".into(),
            sha256: String::new(),
            rows: vec![row()],
        };
        Plan::new(&arguments, vec![set])
    }

    fn asked(plan: &Plan) -> Vec<(Task, Variant)> {
        plan.questions
            .iter()
            .map(|(_, question)| (question.settings.task, question.settings.variant))
            .collect()
    }

    #[test]
    fn every_task_is_asked_once() {
        let plan = plan(&["--task", "closed,open,closed", "--ablate", "none"]).expect("a plan");
        assert_eq!(asked(&plan), [(Task::ClosedWorld, Variant::Plain), (Task::OpenWorld, Variant::Plain)]);
    }

    #[test]
    fn without_thinking_other_words_are_sent() {
        let plan = plan(&["--task", "closed", "--ablate", "no-thinking"]).expect("a plan");
        assert_eq!(
            asked(&plan),
            [(Task::ClosedWorld, Variant::Plain), (Task::ClosedWorld, Variant::NoThinking)]
        );
        let [thoughtful, brief] = [0, 1].map(|at| {
            let (_, Question { settings, prompts }) = &plan.questions[at];
            let text = prompts.text(settings.task, "Which?", &row().options);
            assert_eq!(settings.prompt, prompts.template(settings.task));
            text
        });
        assert!(thoughtful.contains("<think>") && !brief.contains("<think>"), "{thoughtful} / {brief}");
        assert!(thoughtful.starts_with(&brief), "{thoughtful} / {brief}");
    }

    #[test]
    fn decoding_is_the_prompts_and_the_checkpoints_unless_typed() {
        let settings = |flags: &[&str]| plan(flags).expect("a plan").questions[0].1.settings.clone();
        let plain = settings(&[]);
        assert_eq!((plain.max_new_tokens, plain.repetition_penalty, plain.top_p), (256, 1.0, 1.0));
        for prompt in ["released", "released-answer-only"] {
            assert_eq!(settings(&["--prompt", prompt, "--ablate", "none"]).max_new_tokens, 2048);
        }
        let typed =
            settings(&["--prompt", "released", "--max-new-tokens", "9", "--repetition-penalty", "1.2"]);
        assert_eq!((typed.max_new_tokens, typed.repetition_penalty), (9, 1.2));
        for flags in [["--temperature", "0.5"], ["--top-p", "0.5"], ["--class-prompt", "a {}"]] {
            let error = plan(&flags).err().expect("it would change nothing");
            assert!(error.to_string().contains(flags[0]), "{error}");
        }
    }
}
