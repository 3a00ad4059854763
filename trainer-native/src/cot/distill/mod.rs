//! A teacher's chains of thought about labelled pictures, filtered, as training conversations.
//!
//! Fine-R1 section 4.2, <https://arxiv.org/abs/2602.07605>: visual concepts ([`concepts`]), a rationale in four
//! parts ([`structure`]), filters ([`filter`]), and another try where one does not pass. Every answer is kept
//! ([`answers`]), so that a run may be cut at any moment.

pub mod answers;
pub mod concepts;
mod describe;
mod desk;
pub mod filter;
pub mod language;
pub mod prompts;
mod reason;
pub mod report;
pub mod structure;
pub mod thought;
mod tracker;
mod workers;

pub use describe::{Described, Embed};
pub use report::DistillReport;
pub use thought::{CandidateOrder, Form};

use super::teacher::Teacher;
use super::write::Writer;
use crate::checkpoint::{create_folder, write_file};
use crate::dataset::LabelledImage;
use answers::{ANSWERS_FILE, Answers};
use anyhow::{Context, Result, bail};
use desk::Desk;
use filter::Limits;
use reason::{Kept, Outcome};
use report::{REPORT_FILE, Rejected, Spread};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use whatlang::Lang;

/// Name of the data set, as [`crate::cot::FactsKind::Rationale`] has it.
const DATASET: &str = "rationales";
/// Name of the side file of texts that were not kept.
const REJECTED_FILE: &str = "rejected.jsonl";
/// Name of the side file of visual concepts.
const CONCEPTS_FILE: &str = "concepts.jsonl";

/// What is made of a set of labelled pictures.
#[derive(Debug, Clone)]
pub struct DistillOptions {
    /// The folder that gets the files.
    pub out: PathBuf,
    /// Put before the path of every picture.
    pub image_root: String,
    /// What all pictures show: `bird`, `car`.
    pub kind: String,
    /// Asked about every picture; one of many phrasings where absent.
    pub question: Option<String>,
    /// Most attempts for a picture.
    pub attempts: usize,
    /// Descriptions of every picture, where concepts are chosen.
    pub descriptions: usize,
    /// Questions that are open at a time.
    pub workers: usize,
    /// Most tokens of a rationale.
    pub max_new_tokens: usize,
    /// Randomness of answers.
    pub temperature: f64,
    /// Fewest words of analysis and comparison.
    pub min_words: usize,
    /// Most words of both.
    pub max_words: usize,
    /// The language that is asked for and held to.
    pub language: Lang,
    /// Where the true name stands.
    pub order: CandidateOrder,
    /// Where the instruction stands.
    pub form: Form,
    /// Makes it repeatable.
    pub seed: u64,
}

/// Asks, filters, and writes the data set, its side files and the report. With `embed`, concepts are chosen first.
///
/// # Errors
/// The teacher failed, a file cannot be written, or no text was kept. What was answered until then is kept.
pub fn distill(
    images: &[LabelledImage],
    teacher: &dyn Teacher,
    embed: Option<&Embed>,
    options: &DistillOptions,
) -> Result<DistillReport> {
    create_folder(&options.out)?;
    let answers = Answers::open(&options.out.join(ANSWERS_FILE))?;
    if answers.len() > 0 {
        eprintln!("{} answers of earlier runs are at hand", answers.len());
    }
    let desk = Desk::new(teacher, answers);
    let described = embed.map(|embed| describe::describe(images, &desk, embed, options)).transpose()?;
    if let Some(described) = &described {
        write_lines(&options.out.join(CONCEPTS_FILE), described)?;
    }
    let outcomes = reason::reason(images, &desk, described.as_deref(), options)?;
    write(images, desk, described.as_deref(), outcomes, options)
}

fn write(
    images: &[LabelledImage],
    desk: Desk<'_>,
    described: Option<&[Described]>,
    outcomes: Vec<Outcome>,
    options: &DistillOptions,
) -> Result<DistillReport> {
    let (kept, rejected): (Vec<Option<Kept>>, Vec<Vec<Rejected>>) =
        outcomes.into_iter().map(|outcome| (outcome.kept, outcome.rejected)).unzip();
    let kept: Vec<Kept> = kept.into_iter().flatten().collect();
    let rejected: Vec<Rejected> = rejected.into_iter().flatten().collect();
    let rejected_path = options.out.join(REJECTED_FILE);
    write_lines(&rejected_path, &rejected)?;
    let mut rejections = BTreeMap::new();
    for text in &rejected {
        *rejections.entry(text.reason).or_default() += 1;
    }
    if kept.is_empty() {
        bail!(
            "none of {} texts about {} images was kept: {}\nhint: {} has every text and the reason",
            rejected.len(),
            images.len(),
            counts(&rejections)?,
            rejected_path.display()
        );
    }
    let mut writer = Writer::create(&options.out, DATASET)?;
    if let Some(system) = options.form.system() {
        writer = writer.with_system(system);
    }
    let (mut attempts, mut truth_places) = (vec![0; options.attempts], Vec::new());
    let mut candidates = BTreeMap::new();
    let (mut words, mut characters) = (Vec::new(), Vec::new());
    for text in &kept {
        writer.push(&text.conversation)?;
        attempts[text.attempt - 1] += 1;
        *candidates.entry(text.candidates).or_default() += 1;
        if truth_places.len() <= text.truth_place {
            truth_places.resize(text.truth_place + 1, 0);
        }
        truth_places[text.truth_place] += 1;
        let answer = &text.conversation.turns[0].answer;
        words.push(answer.split_whitespace().count());
        characters.push(answer.chars().count());
    }
    let written = writer.finish()?;
    let classes: BTreeSet<&str> = images.iter().map(|image| image.label.as_str()).collect();
    let classes_kept: BTreeSet<&str> = kept.iter().map(|text| text.label.as_str()).collect();
    let report = DistillReport {
        teacher: desk.name().to_owned(),
        seed: options.seed,
        candidate_order: options.order,
        form: options.form,
        images: images.len(),
        classes: classes.len(),
        classes_kept: classes_kept.len(),
        written: kept.len(),
        left_out: images.len() - kept.len(),
        rejections,
        attempts,
        candidates,
        truth_places,
        answer_words: Spread::of(words),
        answer_characters: Spread::of(characters),
        concepts: described
            .map(|described| Spread::of(described.iter().map(|image| image.concepts.len()).collect())),
        cost: desk.into_cost(),
        dataset_path: written.dataset_path,
        rejected_path,
    };
    let text = serde_json::to_string_pretty(&report)? + "\n";
    write_file(&options.out.join(REPORT_FILE), text.as_bytes())?;
    Ok(report)
}

/// `malformed 3, length 1`.
fn counts(rejections: &BTreeMap<filter::Reason, usize>) -> Result<String> {
    let counts = rejections.iter().map(|(reason, count)| {
        let name = serde_json::to_value(reason)?;
        Ok(format!("{} {count}", name.as_str().unwrap_or_default()))
    });
    Ok(counts.collect::<Result<Vec<_>>>()?.join(", "))
}

fn write_lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(row).with_context(|| format!("writing {}", path.display()))?;
        text.push('\n');
    }
    write_file(path, text.as_bytes())
}

/// A number that depends on the run's seed and on what it is for, and on nothing else: neither on other pictures
/// nor on their order.
fn seed_of(seed: u64, image: &str, what: &str, number: usize) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((number as u64).to_le_bytes());
    hash.update((image.len() as u64).to_le_bytes());
    hash.update(image);
    hash.update(what);
    let digest = hash.finalize();
    u64::from_le_bytes(std::array::from_fn(|index| digest[index]))
}

impl DistillOptions {
    fn limits(&self) -> Limits {
        Limits {
            min_words: self.min_words,
            max_words: self.max_words,
            language: Some(self.language),
            numbers_allowed: self.order == CandidateOrder::Teacher,
        }
    }
}
