//! `evaluate`: asks what is not answered yet, then puts all figures together.

use crate::adapter::load_recognizer;
use crate::checkpoint::write_file;
use crate::cli::EvaluateArgs;
use crate::device::{self, OpenDevice};
use crate::evaluate::{
    Categories, DataSet, Material, Model, Plan, PromptFacts, Published, Question, Results, SetFacts,
    Settings, Shard, Store, Summary, Task, TextEmbedder, compare, comparison, html, markdown,
    open_text_embedder, photo_files, probe_hits, read_sets, refuse_unreadable,
};
use crate::progress::{clock, interrupted, listen_for_interrupt};
use anyhow::{Result, anyhow};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::Path;
use std::process::exit;
use std::time::Instant;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'run> {
    #[serde(flatten)]
    summary: &'run Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Published>,
}

/// Exit code of a run that Ctrl-C ended, as shells have it.
const STOPPED: i32 = 130;

/// Measures every set and prints a table or an object; with `--compare`, compares earlier answers.
///
/// # Errors
/// Checkpoint, rows, photos, or the folder of answers.
pub fn run(arguments: &EvaluateArgs) -> Result<()> {
    if let Some(folders) = &arguments.compare {
        return print_comparison(arguments, [&folders[0], &folders[1]]);
    }
    let files: Vec<_> = arguments.data.iter().chain(&arguments.probe).cloned().collect();
    let mut sets = read_sets(&files, &arguments.image_root)?;
    let probe_set = arguments.probe.as_ref().and_then(|_| sets.pop());
    let categories = if arguments.released_category {
        Categories::ReleasedPaths
    } else {
        Categories::parse(&arguments.category, &sets)?
    };
    let plan = Plan::new(arguments, sets)?;
    if plan.is_open() {
        for name in categories.unknown(&plan.sets) {
            eprintln!(
                "note: the data set `{name}` is not known here, its super-category's word is `object`; \
                 --category {name}=WORD names another"
            );
        }
    }
    let device = device::open(arguments.device)?;
    // Whatever is wrong with it must not come out after hours of asking.
    let embedder =
        arguments.embedder.as_deref().map(|folder| open_text_embedder(folder, &device)).transpose()?;
    let mut store = Store::open(arguments.out.as_deref())?;
    plan.refuse_strange_rows(&store.results)?;
    let missing = plan.missing(arguments.shard.unwrap_or(Shard::WHOLE), &store.results);
    plan.refuse_unreadable(&missing, probe_set.as_ref())?;
    for (_, question) in &plan.questions {
        store.announce(&question.settings, &plan.model)?;
    }
    plan.answer(arguments, &missing, &device, &mut store)?;
    store.refresh()?;
    let run = Run {
        plan: &plan,
        arguments,
        categories: &categories,
        embedder: embedder.as_deref(),
        probe_set: probe_set.as_ref(),
        device: &device,
    };
    run.report(&mut store)
}

/// A question, its set, and the rows that nobody has answered.
type Missing<'plan> = (&'plan Question, &'plan DataSet, Vec<usize>);

impl Plan {
    fn is_open(&self) -> bool {
        self.questions.iter().any(|(_, question)| question.settings.task == Task::OpenWorld)
    }

    /// What this process has to ask.
    fn missing(&self, shard: Shard, results: &Results) -> Vec<Missing<'_>> {
        self.questions
            .iter()
            .map(|(set, question)| {
                let (set, id) = (&self.sets[*set], question.settings.id());
                let is_missing = |row: &usize| shard.takes(*row) && !results.has(&id, *row);
                (question, set, (0..set.rows.len()).filter(is_missing).collect())
            })
            .collect()
    }

    /// Looks at every photo that will be shown, before the first question.
    fn refuse_unreadable(&self, missing: &[Missing], probe_set: Option<&DataSet>) -> Result<()> {
        let shown = missing.iter().flat_map(|(question, set, rows)| {
            rows.iter().map(move |row| &set.rows[question.settings.shown(set, *row)])
        });
        let probed = probe_set.into_iter().flat_map(|set| &set.rows);
        let settings = self.processor.as_ref().map(|processor| processor.preprocessor().settings());
        refuse_unreadable(&photo_files(shown.chain(probed)), |path, photo| match &settings {
            Some(settings) => settings
                .grid(photo.width(), photo.height())
                .map(drop)
                .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint())),
            None => Ok(()),
        })
    }

    /// Asks what is missing. Ctrl-C ends the program behind the batch it is in.
    fn answer(
        &self,
        arguments: &EvaluateArgs,
        missing: &[Missing],
        device: &OpenDevice,
        store: &mut Store,
    ) -> Result<()> {
        let total: usize = missing.iter().map(|(_, _, rows)| rows.len()).sum();
        if total == 0 {
            return Ok(());
        }
        if arguments.out.is_some() {
            listen_for_interrupt()?;
        }
        let model =
            Model::load(arguments.model.as_deref(), arguments.adapter.as_deref(), self.chooses(), device)?;
        let begun = Instant::now();
        let mut done = 0;
        for (question, set, rows) in missing.iter().filter(|(_, _, rows)| !rows.is_empty()) {
            let settings = &question.settings;
            eprintln!("{}: {}{}", set.name, settings.task.title(), settings.variant.title(settings.task));
            let answerer = model.answerer(set, &settings.prompt)?;
            for batch in rows.chunks(arguments.batch) {
                let records = answerer.answer(set, question, batch)?;
                store.add(records)?;
                done += batch.len();
                let left = begun.elapsed().mul_f64((total - done) as f64 / done as f64);
                let per_sec = done as f64 / begun.elapsed().as_secs_f64().max(1e-9);
                eprint!("\r  {done}/{total}  {per_sec:.2} images/s  ETA {}   ", clock(left));
                if interrupted() && done < total {
                    eprintln!("\nstopped after {done} of {total} questions; the same command goes on");
                    // Every answer is on the disk; nothing else is left to do.
                    exit(STOPPED);
                }
            }
            eprintln!();
        }
        Ok(())
    }
}

/// A plan, and what its figures need besides answers.
struct Run<'run> {
    plan: &'run Plan,
    arguments: &'run EvaluateArgs,
    categories: &'run Categories,
    embedder: Option<&'run dyn TextEmbedder>,
    probe_set: Option<&'run DataSet>,
    device: &'run OpenDevice,
}

/// What is written at the end.
struct Figures {
    summary: Summary,
    /// The report, where there is a folder for it.
    html: String,
}

impl Run<'_> {
    fn report(&self, store: &mut Store) -> Result<()> {
        let published = self.arguments.published.then(Published::read);
        let mut figures = self.figures(&store.results, published.as_ref())?;
        if let Some(folder) = &self.arguments.out {
            // Several processes may end at the same time: what is written last must count what all of them
            // have answered.
            let _lock = store.lock()?;
            if self.answered(&store.results) != figures.summary.answered {
                figures = self.figures(&store.results, published.as_ref())?;
            }
            let json = serde_json::to_string_pretty(&figures.summary)? + "\n";
            write_file(&folder.join("summary.json"), json.as_bytes())?;
            write_file(&folder.join("table.md"), markdown(&figures.summary).as_bytes())?;
            write_file(&folder.join("report.html"), figures.html.as_bytes())?;
        }
        let (summary, mut out) = (&figures.summary, stdout().lock());
        if self.arguments.json {
            writeln!(out, "{}", serde_json::to_string(&Printed { summary, published })?)?;
        } else {
            write!(out, "{}", markdown(summary))?;
            if let Some(published) = published {
                write!(out, "\n{}", published.markdown())?;
            }
        }
        Ok(())
    }

    /// Questions that are answered.
    fn answered(&self, results: &Results) -> usize {
        self.plan.questions.iter().map(|(_, question)| results.of(&question.settings.id()).count()).sum()
    }

    fn figures(&self, results: &Results, published: Option<&Published>) -> Result<Figures> {
        let plan = self.plan;
        plan.refuse_strange_rows(results)?;
        let asked: usize = plan.questions.iter().map(|(set, _)| plan.sets[*set].rows.len()).sum();
        let answered = self.answered(results);
        // The last of several processes does what concerns all rows.
        let probe = match self.probe_set {
            Some(train) if answered == asked => Some(self.probe(train)?),
            _ => None,
        };
        let material = Material {
            sets: &plan.sets,
            plan: &plan.questions,
            results,
            categories: self.categories,
            embedder: self.embedder,
            probe: probe.as_deref(),
            seed: self.arguments.seed,
            writes: !plan.chooses(),
        };
        let summary = plan.summary(&material, answered, asked)?;
        let html = match &self.arguments.out {
            Some(_) => html(&summary, &material, published.map(Published::markdown).as_deref())?,
            None => String::new(),
        };
        Ok(Figures { summary, html })
    }

    fn probe(&self, train: &DataSet) -> Result<Vec<Vec<f64>>> {
        let (model, adapter) = (self.arguments.model.as_deref(), self.arguments.adapter.as_deref());
        let recognizer = load_recognizer(model, adapter, self.device)?;
        self.plan.sets.iter().map(|set| probe_hits(&recognizer, &train.rows, &set.rows)).collect()
    }
}

impl Plan {
    fn summary(&self, material: &Material, answered: usize, asked: usize) -> Result<Summary> {
        let mut prompts = Vec::new();
        for (_, question) in &self.questions {
            let Settings { task, variant, prompt, .. } = question.settings.clone();
            let facts = PromptFacts { task, variant, prompt };
            if !prompts.contains(&facts) {
                prompts.push(facts);
            }
        }
        let settings = &self.questions[0].1.settings;
        let facts = |set: &DataSet| SetFacts {
            name: set.name.clone(),
            dataset: set.dataset.clone(),
            split: set.split,
            file: set.file.display().to_string(),
            sha256: set.sha256.clone(),
            rows: set.rows.len(),
        };
        Ok(Summary {
            model: self.model.clone(),
            model_sha256: self.model_sha256.clone(),
            prompt: self.prompt.clone(),
            prompts,
            seed: settings.seed,
            samples: settings.samples,
            temperature: settings.temperature,
            top_p: settings.top_p,
            repetition_penalty: settings.repetition_penalty,
            max_new_tokens: settings.max_new_tokens,
            embedder: material.embedder.map(|embedder| embedder.name().to_owned()),
            categories: if self.is_open() { material.words() } else { BTreeMap::new() },
            answered,
            asked,
            sets: self.sets.iter().map(facts).collect(),
            lines: material.lines()?,
        })
    }
}

fn print_comparison(arguments: &EvaluateArgs, folders: [&Path; 2]) -> Result<()> {
    let comparisons = compare(folders[0], folders[1], arguments.seed)?;
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&comparisons)?)?;
    } else {
        let names = folders.map(|folder| folder.display().to_string());
        write!(out, "{}", comparison([&names[0], &names[1]], &comparisons))?;
    }
    Ok(())
}
