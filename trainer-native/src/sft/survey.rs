//! All rows of a run looked at before it begins: what is wrong with them, and how long they are.

use super::SftRecipe;
use super::labels::encode;
use super::samples::{measure_image, read_sample};
use crate::cli::message;
use crate::dataset::{Conversation, DataSet, read_dataset};
use crate::progress::{clock, interrupted};
use anyhow::{Result, bail};
use fine_r1_core::image::Grid;
use fine_r1_core::recognizer::Processor;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How closely images are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Their headers tell their sizes.
    Headers,
    /// Every pixel is decoded.
    Pixels,
}

/// How long a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// All tokens, those of images included.
    pub tokens: usize,
    /// Tokens that are trained.
    pub labels: usize,
    /// Patches of its images.
    pub grids: Vec<Grid>,
}

/// A row that cannot be trained on, or a set that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The place (file, line and row where it is one row), and what is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    fn of(error: &anyhow::Error) -> Self {
        let text = message(error);
        let (problem, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
        Self { problem: problem.to_owned(), hint: hint.to_owned() }
    }
}

/// A row that can be trained on.
#[derive(Debug)]
pub struct Row {
    /// What it says.
    pub conversation: Conversation,
    /// How long it is.
    pub measure: Measure,
}

/// The rows of one data set.
#[derive(Debug)]
pub struct SurveyedSet {
    /// Its name.
    pub name: String,
    /// Whether it is only measured by.
    pub is_held_out: bool,
    /// So many rows are taken; all where absent.
    pub num_samples: Option<usize>,
    /// Why it could not be read as a whole; it has no rows then.
    pub unread: Option<Problem>,
    /// Sound rows.
    pub rows: Vec<Row>,
    /// The others.
    pub problems: Vec<Problem>,
}

/// Reads all data sets of a recipe and measures every row.
///
/// # Errors
/// A file cannot be read and pixels are not asked for, or all are empty. Bad rows are no error here.
pub fn survey(recipe: &SftRecipe, processor: &Processor, depth: Depth) -> Result<Vec<SurveyedSet>> {
    let mut read = Vec::new();
    for (names, is_held_out) in [(&recipe.dataset, false), (&recipe.eval_dataset, true)] {
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let (set, unread) = match read_dataset(&recipe.dataset_dir, name, recipe.media_dir()) {
                Ok(mut set) => {
                    if recipe.max_samples > 0 {
                        set.rows.truncate(recipe.max_samples);
                        set.num_samples = set.num_samples.map(|count| count.min(recipe.max_samples));
                    }
                    (set, None)
                }
                // Whoever wants to know everything hears of the other sets, too.
                Err(error) if depth == Depth::Pixels => {
                    let set = DataSet { name: name.to_owned(), rows: Vec::new(), num_samples: None };
                    (set, Some(Problem::of(&error)))
                }
                Err(error) => return Err(error),
            };
            read.push((set, unread, is_held_out));
        }
    }
    let total: usize = read.iter().map(|(set, ..)| set.rows.len()).sum();
    let is_empty = |(set, unread, is_held_out): &(DataSet, Option<Problem>, bool)| {
        *is_held_out || (set.rows.is_empty() && unread.is_none())
    };
    if read.iter().all(is_empty) {
        bail!("the data sets `{}` have no rows\nhint: write them anew, or leave them out", recipe.dataset);
    }
    let tally = Tally::new(total);
    let surveyed = read
        .into_iter()
        .map(|(set, unread, is_held_out)| SurveyedSet {
            unread,
            ..measure_set(set, is_held_out, recipe, processor, depth, &tally)
        })
        .collect();
    if interrupted() {
        bail!("stopped while the data was read\nhint: nothing was changed; begin again when you like");
    }
    Ok(surveyed)
}

/// Refuses sets that cannot be read, and rows that cannot be trained on, all at once.
///
/// # Errors
/// There are some.
pub fn refuse_problems(sets: &[SurveyedSet]) -> Result<()> {
    /// So many of them are listed.
    const LISTED: usize = 5;
    if let Some(unread) = sets.iter().find_map(|set| set.unread.as_ref()) {
        bail!("{}\nhint: {}", unread.problem, unread.hint);
    }
    let problems: Vec<&Problem> = sets.iter().flat_map(|set| &set.problems).collect();
    let Some(first) = problems.first() else { return Ok(()) };
    let count = problems.len() + sets.iter().map(|set| set.rows.len()).sum::<usize>();
    let listed: Vec<&str> = problems.iter().take(LISTED).map(|problem| problem.problem.as_str()).collect();
    let more = if problems.len() > LISTED { "\n  … (all of them: --check-data)" } else { "" };
    bail!(
        "{} of {count} rows cannot be trained on\n  {}{more}\nhint: {}",
        problems.len(),
        listed.join("\n  "),
        first.hint
    );
}

fn measure_set(
    set: DataSet,
    is_held_out: bool,
    recipe: &SftRecipe,
    processor: &Processor,
    depth: Depth,
    tally: &Tally,
) -> SurveyedSet {
    let measured: Vec<Option<Result<Measure>>> = set
        .rows
        .par_iter()
        .map(|row| {
            let measure = row.as_ref().ok().map(|row| measure(recipe, processor, row, depth));
            tally.count();
            measure
        })
        .collect();
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for (row, measure) in set.rows.into_iter().zip(measured) {
        match (row, measure) {
            (Ok(conversation), Some(Ok(measure))) => rows.push(Row { conversation, measure }),
            (Ok(conversation), Some(Err(error))) => {
                let Problem { problem, hint } = Problem::of(&error);
                problems.push(Problem { problem: format!("{}: {problem}", conversation.source), hint });
            }
            (Err(problem), _) => {
                problems
                    .push(Problem { problem: problem.to_string(), hint: problem.error.hint().to_owned() });
            }
            (Ok(_), None) => {}
        }
    }
    SurveyedSet { name: set.name, is_held_out, num_samples: set.num_samples, unread: None, rows, problems }
}

fn measure(recipe: &SftRecipe, processor: &Processor, row: &Conversation, depth: Depth) -> Result<Measure> {
    if interrupted() {
        bail!("stopped");
    }
    let (is_label, grids) = match depth {
        Depth::Headers => {
            let grids = row
                .images
                .iter()
                .map(|image| measure_image(image, processor))
                .collect::<Result<Vec<Grid>>>()?;
            (encode(processor, row, &grids, recipe.label_rules())?.is_label, grids)
        }
        Depth::Pixels => {
            let sample = read_sample(processor, recipe.label_rules(), row, &mut None)?;
            (sample.is_label, sample.prompt.images.iter().map(|image| image.grid).collect())
        }
    };
    Ok(Measure {
        tokens: is_label.len(),
        labels: is_label.iter().skip(1).filter(|label| **label).count(),
        grids,
    })
}

/// Says from time to time how far the rows are.
struct Tally {
    total: usize,
    done: AtomicUsize,
    begun: Instant,
    said: Mutex<Instant>,
}

impl Tally {
    const PAUSE: Duration = Duration::from_secs(5);

    fn new(total: usize) -> Self {
        let now = Instant::now();
        Self { total, done: AtomicUsize::new(0), begun: now, said: Mutex::new(now) }
    }

    fn count(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        // Whoever finds it locked leaves it to the other.
        let Ok(mut said) = self.said.try_lock() else { return };
        if said.elapsed() >= Self::PAUSE {
            *said = Instant::now();
            let left = self.begun.elapsed().mul_f64((self.total - done) as f64 / done as f64);
            eprintln!("read {done} of {} rows  ETA {}", self.total, clock(left));
        }
    }
}
