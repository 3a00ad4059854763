//! `triplets`: anchors, positives and negatives from labelled pictures, for TAPO.
//!
//! Rows have the columns of the released data, <https://huggingface.co/datasets/StevenHH2000/Fine-R1-Stage2-data>:
//! `image_noisy` is the positive, `image_aug` the negative.

mod sheet;

use crate::checkpoint::{self, create_folder, read_text, refuse_filled, write_file};
use crate::cli::TripletsArgs;
use crate::commands::read_photo;
use crate::dataset::{
    ImagesByClass, Triplet, classes, nearest_by, nearest_by_features, sample_shots, triplets,
};
use crate::device;
use crate::evaluate::{Row, read_sets};
use crate::progress::clock;
use crate::rl::name_likeness;
use anyhow::{Context, Result, anyhow, bail, ensure};
use fine_r1_core::prompt::question::DEFAULT_QUESTION;
use image::imageops::{FilterType, resize};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stdout};
use std::path::{Component, Path, PathBuf};
use std::time::Instant;

/// The object that `--json` prints, also written beside the rows.
#[derive(Debug, Serialize)]
struct Report {
    rows: PathBuf,
    sheet: PathBuf,
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
    let roots: Vec<String> = arguments.image_root.iter().map(|root| root.display().to_string()).collect();
    let rows: Vec<Row> = read_sets(&arguments.data, &roots)?.into_iter().flat_map(|set| set.rows).collect();
    let labels: Vec<String> = rows.iter().map(|row| row.ground_truth.clone()).collect();
    let shots = sample_shots(&classes(&labels), arguments.shots, arguments.seed);
    ensure!(
        shots.len() > 1,
        "the rows have {} class\nhint: negatives need at least two classes",
        shots.len()
    );
    let nearest = nearest_classes(arguments, &rows, &shots)?;
    let names = nearest.iter().map(|(label, (other, _))| (label.clone(), other.clone())).collect();
    let found = triplets(&shots, &names, arguments.seed);
    ensure!(
        !found.is_empty(),
        "no class has two pictures\nhint: positives need a second picture of the class"
    );

    create_folder(&arguments.out)?;
    let out = fs::canonicalize(&arguments.out)?;
    let lines =
        found.iter().map(|triplet| line(arguments, &rows, *triplet, &out)).collect::<Result<Vec<_>>>()?;
    write_file(&out.join("triplets.jsonl"), (lines.join("\n") + "\n").as_bytes())?;
    let shown = one_of_every_class(&rows, &found);
    sheet::write(&out.join("contact_sheet.png"), &rows, &shown)?;
    let truth = |picture: usize| rows[picture].ground_truth.clone();
    let report = Report {
        rows: arguments.out.join("triplets.jsonl"),
        sheet: arguments.out.join("contact_sheet.png"),
        triplets: found.len(),
        classes: shots.len(),
        shots: arguments.shots,
        seed: arguments.seed,
        nearest_by: arguments.nearest.clone(),
        left_out: shots.iter().filter(|(_, all)| all.len() < 2).map(|(label, _)| label.clone()).collect(),
        sheet_rows: shown
            .iter()
            .map(|triplet| SheetRow { answer: truth(triplet.anchor), nearest: truth(triplet.negative) })
            .collect(),
        nearest,
    };
    write_file(&out.join("report.json"), serde_json::to_string_pretty(&report)?.as_bytes())?;
    for label in &report.left_out {
        eprintln!("warning: {label} has one picture and no positive; it is left out");
    }
    let mut stdout = stdout().lock();
    if arguments.json {
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
        report.sheet.display()
    );
    Ok(())
}

/// The nearest other class of every class, and how near it is.
fn nearest_classes(
    arguments: &TripletsArgs,
    rows: &[Row],
    shots: &ImagesByClass,
) -> Result<BTreeMap<String, (String, f64)>> {
    match arguments.nearest.as_str() {
        "features" => Ok(nearest_by_features(shots, &features(arguments, rows, shots)?)),
        "names" => Ok(nearest_by(shots, |left, right| name_likeness(left, right))),
        path => nearest_by_table(Path::new(path), shots),
    }
}

/// What the vision tower makes of every picture, averaged over its tokens.
fn features(
    arguments: &TripletsArgs,
    rows: &[Row],
    shots: &ImagesByClass,
) -> Result<BTreeMap<usize, Vec<f64>>> {
    let recognizer = checkpoint::load(arguments.model.as_deref(), &device::open(arguments.device)?)?;
    let total: usize = shots.values().map(Vec::len).sum();
    let begun = Instant::now();
    let mut features = BTreeMap::new();
    for picture in shots.values().flatten() {
        let path = &rows[*picture].image_path;
        let patches = recognizer
            .processor()
            .look_ready(&read_photo(path)?)
            .map_err(|error| anyhow!("{}: {error}\nhint: {}", path.display(), error.hint()))?;
        let tokens = recognizer.model().look(&[&patches], recognizer.processor().config());
        let tokens = tokens.with_context(|| format!("{}: no features", path.display()))?;
        let data =
            tokens.mean_dim(0).try_into_data().map_err(|error| anyhow!("the device failed: {error:?}"))?;
        features.insert(*picture, data.iter::<f64>().collect());
        let left = begun.elapsed().mul_f64((total - features.len()) as f64 / features.len() as f64);
        eprint!("\r  {}/{total} pictures  ETA {}   ", features.len(), clock(left));
    }
    eprintln!();
    Ok(features)
}

/// Neighbours from a file: `{"class": ["nearest", …]}`, or a list of `{"name", "nearest": […]}`. The first
/// that the rows have counts.
fn nearest_by_table(path: &Path, shots: &ImagesByClass) -> Result<BTreeMap<String, (String, f64)>> {
    let table: Value = serde_json::from_str(&read_text(path)?)
        .with_context(|| format!("{} is no JSON\nhint: {TABLE_HINT}", path.display()))?;
    let names = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let neighbours: BTreeMap<String, Vec<String>> = match &table {
        Value::Object(entries) => {
            entries.iter().map(|(label, value)| (label.clone(), names(value))).collect()
        }
        Value::Array(entries) => entries
            .iter()
            .filter_map(|entry| Some((entry["name"].as_str()?.to_owned(), names(&entry["nearest"]))))
            .collect(),
        _ => BTreeMap::new(),
    };
    let mut nearest = BTreeMap::new();
    for label in shots.keys() {
        let found = neighbours
            .get(label)
            .and_then(|names| names.iter().position(|name| name != label && shots.contains_key(name)));
        let Some(place) = found else {
            bail!("{} has no neighbour of `{label}` that the rows have\nhint: {TABLE_HINT}", path.display());
        };
        // The farther down the list, the less alike.
        nearest.insert(label.clone(), (neighbours[label][place].clone(), 1.0 / (1.0 + place as f64)));
    }
    Ok(nearest)
}

const TABLE_HINT: &str = "a table looks like {\"A319\": [\"A320\", \"A321\"], …}, the nearest first";

/// A row as the released code reads it; ours reads it as well.
fn line(arguments: &TripletsArgs, rows: &[Row], triplet: Triplet, out: &Path) -> Result<String> {
    let anchor = &rows[triplet.anchor];
    let question = if anchor.question.is_empty() { DEFAULT_QUESTION } else { &anchor.question };
    let size = match arguments.same_size {
        true => {
            let photo = read_photo(&anchor.image_path)?;
            Some((photo.width(), photo.height()))
        }
        false => None,
    };
    let place = |picture: usize, role: &str| -> Result<PathBuf> {
        let path = &rows[picture].image_path;
        let Some((width, height)) = size else { return relative(path, out) };
        let photo = read_photo(path)?;
        if (photo.width(), photo.height()) == (width, height) {
            return relative(path, out);
        }
        let folder = out.join("images");
        create_folder(&folder)?;
        let name = format!("{}-{role}.png", triplet.anchor);
        let fitted = resize(&photo, width, height, FilterType::CatmullRom);
        fitted
            .save(folder.join(&name))
            .with_context(|| format!("cannot write {}", folder.join(&name).display()))?;
        Ok(Path::new("images").join(name))
    };
    let row = json!({
        "images": [relative(&anchor.image_path, out)?],
        "problem": format!("<image>{question}"),
        "answer": anchor.ground_truth,
        "image_noisy": [place(triplet.positive, "positive")?],
        "image_aug": [place(triplet.negative, "negative")?],
        "negative_label": rows[triplet.negative].ground_truth,
    });
    Ok(row.to_string())
}

/// A picture's path as seen from the folder of the rows, with `/`.
fn relative(path: &Path, folder: &Path) -> Result<PathBuf> {
    let path = fs::canonicalize(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut there, mut here) = (path.components().peekable(), folder.components().peekable());
    while there.peek().is_some() && there.peek() == here.peek() {
        there.next();
        here.next();
    }
    let up = here.map(|_| Component::ParentDir.as_os_str());
    let parts: Vec<String> =
        up.chain(there.map(Component::as_os_str)).map(|part| part.to_string_lossy().into_owned()).collect();
    Ok(PathBuf::from(parts.join("/")))
}

/// The first triplet of every class.
fn one_of_every_class(rows: &[Row], found: &[Triplet]) -> Vec<Triplet> {
    let mut seen = Vec::new();
    let mut shown = Vec::new();
    for triplet in found {
        let label = &rows[triplet.anchor].ground_truth;
        if !seen.contains(label) {
            seen.push(label.clone());
            shown.push(*triplet);
        }
    }
    shown
}
