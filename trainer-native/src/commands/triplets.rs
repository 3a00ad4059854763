//! `triplets`: anchors, positives and negatives from labelled pictures, for TAPO.
//!
//! Rows have the columns of the released data, <https://huggingface.co/datasets/StevenHH2000/Fine-R1-Stage2-data>:
//! `image_noisy` is the positive, `image_aug` the negative.

mod features;
mod nearest;
mod page;
mod parquet;
mod rows;
mod sheet;

use crate::checkpoint::{create_folder, refuse_filled, write_file};
use crate::cli::TripletsArgs;
use crate::dataset::{LabelledImage, LabelledSet, Triplet, classes, sample_shots, triplets};
use anyhow::{Result, bail, ensure};
use serde::Serialize;
use sheet::Shown;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::PathBuf;

/// The object that `--json` prints, also written beside the rows.
#[derive(Debug, Serialize)]
struct Report {
    rows: PathBuf,
    /// The same rows with their pictures inside.
    parquet: PathBuf,
    sheet: PathBuf,
    /// The same with words.
    page: PathBuf,
    triplets: usize,
    classes: usize,
    shots: usize,
    seed: u64,
    nearest_by: String,
    /// The nearest other class of every class, and how near it is.
    nearest: BTreeMap<String, (String, f64)>,
    /// Classes of one picture, which have no positive.
    left_out: Vec<String>,
    /// What the rows of the sheet show, from above.
    sheet_rows: Vec<SheetRow>,
}

#[derive(Debug, Serialize)]
struct SheetRow {
    answer: String,
    nearest: String,
}

/// Writes triplets, a report and a contact sheet.
///
/// # Errors
/// Rows, pictures, checkpoint or disk.
pub fn run(arguments: &TripletsArgs) -> Result<()> {
    refuse_filled(&arguments.out)?;
    let pictures = read_pictures(arguments)?;
    let labels: Vec<String> = pictures.iter().map(|picture| picture.label.clone()).collect();
    let shots = sample_shots(&classes(&labels), arguments.shots, arguments.seed);
    ensure!(
        shots.len() > 1,
        "the rows have {} class\nhint: negatives need at least two classes",
        shots.len()
    );
    let nearest = nearest::nearest_classes(arguments, &pictures, &shots)?;
    let names = nearest.iter().map(|(label, (other, _))| (label.clone(), other.clone())).collect();
    let found = triplets(&shots, &names, arguments.seed);
    ensure!(
        !found.is_empty(),
        "no class has two pictures\nhint: positives need a second picture of the class"
    );

    create_folder(&arguments.out)?;
    let out = fs::canonicalize(&arguments.out)?;
    let rows = rows::rows(&pictures, &found, arguments.same_size, &out)?;
    rows::write(&out.join(ROWS), &rows, &out)?;
    parquet::write(&out.join(PARQUET), &rows)?;
    let shown = one_of_every_class(&pictures, &found)
        .into_iter()
        .map(|triplet| Shown::new(&pictures, triplet))
        .collect::<Result<Vec<_>>>()?;
    sheet::write(&out.join(SHEET), &shown)?;
    page::write(&out.join(PAGE), &shown, &nearest, &arguments.nearest)?;
    let report = Report {
        rows: arguments.out.join(ROWS),
        parquet: arguments.out.join(PARQUET),
        sheet: arguments.out.join(SHEET),
        page: arguments.out.join(PAGE),
        triplets: found.len(),
        classes: shots.len(),
        shots: arguments.shots,
        seed: arguments.seed,
        nearest_by: arguments.nearest.clone(),
        left_out: shots.iter().filter(|(_, all)| all.len() < 2).map(|(label, _)| label.clone()).collect(),
        sheet_rows: shown
            .iter()
            .map(|shown| SheetRow { answer: shown.label.clone(), nearest: shown.negative_label.clone() })
            .collect(),
        nearest,
    };
    write_file(&out.join("report.json"), serde_json::to_string_pretty(&report)?.as_bytes())?;
    tell(&report, arguments.json)
}

const ROWS: &str = "triplets.jsonl";
const PARQUET: &str = "triplets.parquet";
const SHEET: &str = "contact_sheet.png";
const PAGE: &str = "contact_sheet.html";

/// The pictures of all sets, each once.
fn read_pictures(arguments: &TripletsArgs) -> Result<Vec<LabelledImage>> {
    let mut pictures: Vec<LabelledImage> = Vec::new();
    let mut known: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in &arguments.data {
        let root = arguments.image_root.as_deref();
        let mut set = LabelledSet::read(path, arguments.layout, arguments.part, root)?;
        if let Some(classes) = &arguments.classes {
            let absent = classes.keep(&mut set)?;
            if let Some(first) = absent.first() {
                eprintln!(
                    "warning: {}: {} wanted classes have no picture, the first is {first}",
                    path.display(),
                    absent.len()
                );
            }
        }
        for picture in set.images {
            match known.get(&picture.path).map(|earlier| &pictures[*earlier].label) {
                None => {
                    known.insert(picture.path.clone(), pictures.len());
                    pictures.push(picture);
                }
                Some(label) if *label == picture.label => {}
                Some(label) => bail!(
                    "{}: {} is labelled `{label}` and `{}`\nhint: give every picture one label",
                    path.display(),
                    picture.path.display(),
                    picture.label
                ),
            }
        }
    }
    Ok(pictures)
}

/// The first triplet of every class.
fn one_of_every_class(pictures: &[LabelledImage], found: &[Triplet]) -> Vec<Triplet> {
    let mut seen = Vec::new();
    let mut shown = Vec::new();
    for triplet in found {
        let label = &pictures[triplet.anchor].label;
        if !seen.contains(&label) {
            seen.push(label);
            shown.push(*triplet);
        }
    }
    shown
}

fn tell(report: &Report, json: bool) -> Result<()> {
    for label in &report.left_out {
        eprintln!("warning: {label} has one picture and no positive; it is left out");
    }
    let mut stdout = stdout().lock();
    if json {
        writeln!(stdout, "{}", serde_json::to_string(&report)?)?;
        return Ok(());
    }
    for (label, (other, likeness)) in &report.nearest {
        writeln!(stdout, "{label}\t{other}\t{likeness:.3}")?;
    }
    eprintln!(
        "wrote {} triplets of {} classes to {}; look at {}",
        report.triplets,
        report.classes,
        report.rows.display(),
        report.page.display()
    );
    Ok(())
}
