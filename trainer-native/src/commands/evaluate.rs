//! `evaluate`: figures for the model card.

use crate::adapter::load_recognizer;
use crate::cli::EvaluateArgs;
use crate::evaluate::{
    Look, Probe, Setting, Tally, Task, always_first, measure, probe_accuracy, random_choice, read_rows,
};
use crate::{checkpoint, device};
use anyhow::Result;
use serde::Serialize;
use std::io::{self, Write, stdout};

/// What is measured on one file.
#[derive(Debug, Serialize)]
struct FileResult {
    data: String,
    rows: usize,
    seed: u64,
    closed_world: f64,
    closed_world_substring: f64,
    closed_world_blank: f64,
    always_first: f64,
    random: f64,
    open_world: f64,
    open_world_blank: f64,
    well_formed: f64,
    new_tokens_mean: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear_probe: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linear_probe_classes: Option<usize>,
}

/// The object that `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    prompt: &'static str,
    results: Vec<FileResult>,
}

/// Measures every file and prints a table or an object.
///
/// # Errors
/// Checkpoint, rows or photos.
pub fn run(arguments: &EvaluateArgs) -> Result<()> {
    let files = arguments
        .data
        .iter()
        .map(|path| Ok((path.display().to_string(), read_rows(path, arguments.image_root.as_deref())?)))
        .collect::<Result<Vec<_>>>()?;
    let probe_rows =
        arguments.probe.as_ref().map(|path| read_rows(path, arguments.image_root.as_deref())).transpose()?;
    let recognizer = load_recognizer(
        arguments.model.as_deref(),
        arguments.adapter.as_deref(),
        &device::open(arguments.device)?,
    )?;
    let mut results = Vec::new();
    for (data, rows) in files {
        let ask = |task, look, name: &str| -> Result<Tally> {
            eprintln!("{data}: {name}");
            let setting = Setting {
                task,
                look,
                with_thought: !arguments.answer_only,
                seed: arguments.seed,
                max_new_tokens: arguments.max_new_tokens,
                batch: arguments.batch,
            };
            measure(&recognizer, &rows, setting, |_, _| ())
        };
        let closed = ask(Task::ClosedWorld, Look::Photo, "closed world")?;
        let open = ask(Task::OpenWorld, Look::Photo, "open world")?;
        let closed_blank = ask(Task::ClosedWorld, Look::Blank, "closed world, blank image")?;
        let open_blank = ask(Task::OpenWorld, Look::Blank, "open world, blank image")?;
        let probe: Option<Probe> =
            probe_rows.as_ref().map(|train| probe_accuracy(&recognizer, train, &rows)).transpose()?;
        let share = |count: usize| count as f64 / rows.len() as f64;
        results.push(FileResult {
            rows: rows.len(),
            seed: arguments.seed,
            closed_world: share(closed.exact),
            closed_world_substring: share(closed.substring),
            closed_world_blank: share(closed_blank.exact),
            always_first: always_first(&rows, arguments.seed),
            random: random_choice(&rows, arguments.seed),
            open_world: share(open.exact),
            open_world_blank: share(open_blank.exact),
            well_formed: share(closed.well_formed + open.well_formed) / 2.0,
            new_tokens_mean: (closed.new_tokens + open.new_tokens) as f64 / (2 * rows.len()) as f64,
            linear_probe: probe.map(|probe| probe.accuracy),
            linear_probe_classes: probe.map(|probe| probe.classes),
            data,
        });
    }
    let report = Report {
        model: arguments
            .model
            .as_ref()
            .map_or(checkpoint::EMBEDDED.to_owned(), |path| path.display().to_string()),
        prompt: if arguments.answer_only { "answer only" } else { "chain of thought" },
        results,
    };
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        print(&mut out, &report)?;
    }
    Ok(())
}

fn print(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    writeln!(out, "{} ({} prompt), percent of rows\n", report.model, report.prompt)?;
    write!(out, "| |")?;
    for result in &report.results {
        write!(out, " {} ({} rows) |", result.data, result.rows)?;
    }
    writeln!(out, "\n|---|{}", "---|".repeat(report.results.len()))?;
    type Column = fn(&FileResult) -> Option<f64>;
    let lines: [(&str, Column); 9] = [
        ("closed world, options shuffled, exact", |result| Some(result.closed_world)),
        ("closed world, released substring rule", |result| Some(result.closed_world_substring)),
        ("closed world, blank image", |result| Some(result.closed_world_blank)),
        ("closed world, always the first option", |result| Some(result.always_first)),
        ("closed world, random option", |result| Some(result.random)),
        ("open world, exact name", |result| Some(result.open_world)),
        ("open world, blank image", |result| Some(result.open_world_blank)),
        ("open world, linear probe", |result| result.linear_probe),
        ("well-formed", |result| Some(result.well_formed)),
    ];
    for (name, column) in lines {
        write!(out, "| {name} |")?;
        for result in &report.results {
            write!(out, " {} |", column(result).map_or("-".to_owned(), percent))?;
        }
        writeln!(out)?;
    }
    Ok(())
}
