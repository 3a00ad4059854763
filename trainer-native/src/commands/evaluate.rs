//! `evaluate`: asks what is not answered yet, then puts all figures together.

use crate::adapter::load_recognizer;
use crate::checkpoint::write_file;
use crate::cli::EvaluateArgs;
use crate::device;
use crate::evaluate::{
    Categories, DataSet, Material, Model, Plan, PromptFacts, Published, Question, SetFacts, Settings, Shard,
    Store, Summary, Task, compare, comparison, html, markdown, open_text_embedder, probe_hits, read_sets,
};
use crate::progress::{clock, interrupted, listen_for_interrupt};
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{Write, stdout};
use std::path::Path;
use std::time::Instant;

/// The object that `--json` prints.
#[derive(Serialize)]
struct Printed<'run> {
    #[serde(flatten)]
    summary: &'run Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    published: Option<Published>,
}

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
    let mut store = Store::open(arguments.out.as_deref())?;
    for (_, question) in &plan.questions {
        store.announce(&question.settings, &plan.model)?;
    }
    if !plan.answer(arguments, &mut store)? {
        eprintln!("stopped; the same command goes on");
        return Ok(());
    }
    store.refresh()?;
    plan.report(arguments, &store, &categories, probe_set.as_ref())
}

impl Plan {
    /// Asks what this process has to ask and nobody has answered; false where Ctrl-C ended it.
    fn answer(&self, arguments: &EvaluateArgs, store: &mut Store) -> Result<bool> {
        let shard = arguments.shard.unwrap_or(Shard::WHOLE);
        let missing: Vec<(&Question, &DataSet, Vec<usize>)> = self
            .questions
            .iter()
            .map(|(set, question)| {
                let (set, id) = (&self.sets[*set], question.settings.id());
                let is_missing = |row: &usize| shard.takes(*row) && !store.results.has(&id, *row);
                (question, set, (0..set.rows.len()).filter(is_missing).collect())
            })
            .collect();
        let total: usize = missing.iter().map(|(_, _, rows)| rows.len()).sum();
        if total == 0 {
            return Ok(true);
        }
        if arguments.out.is_some() {
            listen_for_interrupt()?;
        }
        let model = Model::load(
            arguments.model.as_deref(),
            arguments.adapter.as_deref(),
            self.chooses,
            &device::open(arguments.device)?,
        )?;
        let begun = Instant::now();
        let mut done = 0;
        for (question, set, rows) in missing.iter().filter(|(_, _, rows)| !rows.is_empty()) {
            let settings = &question.settings;
            eprintln!("{}: {}{}", set.name, settings.task.title(), settings.variant.title(settings.task));
            let answerer = model.answerer(set, &settings.prompt)?;
            for batch in rows.chunks(arguments.batch.max(1)) {
                let records = answerer.answer(set, question, batch)?;
                store.add(records)?;
                done += batch.len();
                let left = begun.elapsed().mul_f64((total - done) as f64 / done as f64);
                let per_sec = done as f64 / begun.elapsed().as_secs_f64().max(1e-9);
                eprint!("\r  {done}/{total}  {per_sec:.2} images/s  ETA {}   ", clock(left));
                if interrupted() {
                    eprintln!();
                    return Ok(false);
                }
            }
            eprintln!();
        }
        Ok(true)
    }

    fn report(
        &self,
        arguments: &EvaluateArgs,
        store: &Store,
        categories: &Categories,
        probe_set: Option<&DataSet>,
    ) -> Result<()> {
        let asked: usize = self.questions.iter().map(|(set, _)| self.sets[*set].rows.len()).sum();
        let answered: usize = self
            .questions
            .iter()
            .map(|(_, question)| store.results.of(&question.settings.id()).count())
            .sum();
        let device = device::open(arguments.device)?;
        let embedder =
            arguments.embedder.as_deref().map(|folder| open_text_embedder(folder, &device)).transpose()?;
        // The last of several processes does what concerns all rows.
        let probe = match probe_set {
            Some(train) if answered == asked => Some(self.probe(arguments, train)?),
            _ => None,
        };
        let material = Material {
            sets: &self.sets,
            plan: &self.questions,
            results: &store.results,
            categories,
            embedder: embedder.as_deref(),
            probe: probe.as_deref(),
            seed: arguments.seed,
            writes: !self.chooses,
        };
        let summary = self.summary(&material, answered, asked)?;
        let published = arguments.published.then(Published::read);
        if let Some(folder) = &arguments.out {
            let published = published.as_ref().map(Published::markdown);
            let report = html(&summary, &material, published.as_deref())?;
            let json = serde_json::to_string_pretty(&summary)?
                + "
";
            // Several processes may end at the same time.
            let _lock = store.lock()?;
            write_file(&folder.join("summary.json"), json.as_bytes())?;
            write_file(&folder.join("table.md"), markdown(&summary).as_bytes())?;
            write_file(&folder.join("report.html"), report.as_bytes())?;
        }
        let mut out = stdout().lock();
        if arguments.json {
            writeln!(out, "{}", serde_json::to_string(&Printed { summary: &summary, published })?)?;
        } else {
            write!(out, "{}", markdown(&summary))?;
            if let Some(published) = published {
                write!(out, "\n{}", published.markdown())?;
            }
        }
        Ok(())
    }

    fn probe(&self, arguments: &EvaluateArgs, train: &DataSet) -> Result<Vec<Vec<f64>>> {
        let (model, adapter) = (arguments.model.as_deref(), arguments.adapter.as_deref());
        let recognizer = load_recognizer(model, adapter, &device::open(arguments.device)?)?;
        self.sets.iter().map(|set| probe_hits(&recognizer, &train.rows, &set.rows)).collect()
    }

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
        let is_open = self.questions.iter().any(|(_, question)| question.settings.task == Task::OpenWorld);
        Ok(Summary {
            model: self.model.clone(),
            model_sha256: self.model_sha256.clone(),
            prompt: self.prompt.clone(),
            prompts,
            seed: settings.seed,
            samples: settings.samples,
            temperature: settings.temperature,
            embedder: material.embedder.map(|embedder| embedder.name().to_owned()),
            categories: if is_open { material.words() } else { BTreeMap::new() },
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
