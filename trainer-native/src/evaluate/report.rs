//! The report with pictures: one HTML file that needs nothing beside it.

use super::confusion::{Calibration, Confusion, Mistake, OTHER, places};
use super::material::Material;
use super::rows::plain;
use super::settings::draw;
use super::summary::Summary;
use super::table::{show, terms};
use super::{DataSet, Record, Task, Variant};
use crate::commands::read_photo;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fine_r1_core::reasoning::Transcript;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use minijinja::{Environment, context};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

const TEMPLATE: &str = include_str!("report/report.html");

/// Classes of a confusion matrix that is still read; the rest is summed up.
const MOST_CLASSES: usize = 40;
/// Mistakes that are shown side by side, and examples of each kind.
const MOST_MISTAKES: usize = 6;
const MOST_EXAMPLES: usize = 3;
/// Longest side of a picture in the report, in pixels, and its JPEG quality.
const PICTURE_SIDE: u32 = 220;
const PICTURE_QUALITY: u8 = 80;

/// A set's part of the report.
#[derive(Debug, Serialize)]
struct Section {
    name: String,
    confusion: Option<Heat>,
    mistakes: Vec<Pair>,
    calibration: Option<Calibration>,
    places: Vec<(usize, usize)>,
    examples: Vec<Example>,
}

/// A confusion matrix as the page shows it.
#[derive(Debug, Serialize)]
struct Heat {
    names: Vec<String>,
    rows: Vec<HeatRow>,
    is_narrowed: bool,
}

#[derive(Debug, Serialize)]
struct HeatRow {
    truth: String,
    cells: Vec<HeatCell>,
}

#[derive(Debug, Serialize)]
struct HeatCell {
    count: usize,
    /// Share of the row, from 0 to 1.
    share: f64,
    is_right: bool,
}

/// A mistake with a picture of each class.
#[derive(Debug, Serialize)]
struct Pair {
    mistake: Mistake,
    asked: Option<String>,
    likeness: Option<String>,
}

/// An answer with its reasoning.
#[derive(Debug, Serialize)]
struct Example {
    task: &'static str,
    is_right: bool,
    picture: Option<String>,
    question: String,
    options: Vec<String>,
    ground_truth: String,
    thinking: String,
    answer: String,
}

/// Writes the report as one text.
///
/// # Errors
/// A photo cannot be read.
pub fn html(summary: &Summary, material: &Material, published: Option<&str>) -> Result<String> {
    let sections = (0..material.sets.len()).map(|set| section(material, set)).collect::<Result<Vec<_>>>()?;
    let lines: Vec<_> = summary
        .lines
        .iter()
        .map(|line| {
            let averages = [line.seen, line.unseen, line.all];
            let cells = line.sets.iter().chain(averages.iter().filter(|_| summary.has_averages()));
            let cells: Vec<String> =
                cells.map(|cell| cell.map_or("–".to_owned(), |cell| show(&cell, line.unit))).collect();
            context! { title => line.title, cells }
        })
        .collect();
    let mut environment = Environment::new();
    environment.add_template("report.html", TEMPLATE).context("the report's template")?;
    let template = environment.get_template("report.html").context("the report's template")?;
    let has_averages = summary.has_averages();
    template
        .render(context! {
            summary, lines, sections, has_averages, published, terms => terms(summary), other => OTHER
        })
        .context("the report's template")
}

fn section(material: &Material, index: usize) -> Result<Section> {
    let set = &material.sets[index];
    let of = |task: Task| {
        let plain = material.plan.iter().find(|(set, question)| {
            *set == index && question.settings.task == task && question.settings.variant == Variant::Plain
        });
        let id = plain.map(|(_, question)| question.settings.id()).unwrap_or_default();
        material.results.of(&id).collect::<Vec<&Record>>()
    };
    let (closed, open) = (of(Task::ClosedWorld), of(Task::OpenWorld));
    let matrix = if closed.is_empty() { &open } else { &closed };
    let confusion = Confusion::new(set, matrix.iter().copied());
    let mistakes = confusion.worst(MOST_MISTAKES);
    let mistakes =
        mistakes.into_iter().map(|mistake| pair(material, index, matrix, mistake)).collect::<Result<_>>()?;
    let mut examples = Vec::new();
    for (task, records) in [(Task::ClosedWorld, &closed), (Task::OpenWorld, &open)] {
        for is_right in [true, false] {
            let written: Vec<&Record> = records
                .iter()
                .copied()
                .filter(|record| record.exact == is_right && !record.samples.is_empty())
                .collect();
            for record in drawn(written, material.seed, MOST_EXAMPLES) {
                examples.push(example(set, task, record)?);
            }
        }
    }
    Ok(Section {
        name: set.name.clone(),
        confusion: (!matrix.is_empty()).then(|| heat(&confusion)),
        mistakes,
        calibration: Calibration::new(closed.iter().copied()),
        places: places(closed.iter().copied()),
        examples,
    })
}

fn heat(confusion: &Confusion) -> Heat {
    let narrowed = confusion.narrowed(MOST_CLASSES);
    let row = |(truth, counts): (usize, &Vec<usize>)| {
        let total = counts.iter().sum::<usize>().max(1) as f64;
        let cell = |(answer, count): (usize, &usize)| HeatCell {
            count: *count,
            share: *count as f64 / total,
            is_right: answer == truth,
        };
        HeatRow { truth: narrowed.names[truth].clone(), cells: counts.iter().enumerate().map(cell).collect() }
    };
    let has_photos = |(_, counts): &(usize, &Vec<usize>)| counts.iter().any(|count| *count > 0);
    Heat {
        rows: narrowed.counts.iter().enumerate().filter(has_photos).map(row).collect(),
        is_narrowed: narrowed.names.len() < confusion.names.len(),
        names: narrowed.names,
    }
}

/// A mistaken photo, beside one of the class that it was taken for.
fn pair(material: &Material, index: usize, records: &[&Record], mistake: Mistake) -> Result<Pair> {
    let set = &material.sets[index];
    let is_other = mistake.answer == OTHER;
    let mistaken = records.iter().find(|record| {
        plain(&record.ground_truth) == plain(&mistake.truth)
            && (plain(&record.answer) == plain(&mistake.answer) || (is_other && !record.exact))
    });
    // Options mix seen and unseen classes: a picture may stand in another set, best of the same data set.
    let others = |same: bool| {
        material.sets.iter().filter(move |other| (other.dataset == set.dataset) == same).collect::<Vec<_>>()
    };
    let sets = [set].into_iter().chain(others(true)).chain(others(false));
    let likeness =
        sets.flat_map(|set| &set.rows).find(|row| plain(&row.ground_truth) == plain(&mistake.answer));
    let asked = mistaken.map(|record| picture(&set.rows[record.row].image_path)).transpose()?;
    Ok(Pair { mistake, asked, likeness: likeness.map(|row| picture(&row.image_path)).transpose()? })
}

/// Some records in an order that the seed draws, of as many classes as there are.
fn drawn(mut records: Vec<&Record>, seed: u64, most: usize) -> Vec<&Record> {
    records.sort_by_key(|record| draw(seed, record.row));
    let mut classes = BTreeSet::new();
    let (first, more): (Vec<&Record>, Vec<&Record>) =
        records.into_iter().partition(|record| classes.insert(plain(&record.ground_truth)));
    first.into_iter().chain(more).take(most).collect()
}

fn example(set: &DataSet, task: Task, record: &Record) -> Result<Example> {
    let row = &set.rows[record.row];
    let transcript = record.samples.first().map(|sample| Transcript::parse(&sample.text));
    Ok(Example {
        task: task.title(),
        is_right: record.exact,
        picture: Some(picture(&row.image_path)?),
        question: row.question.clone(),
        options: record.options.clone(),
        ground_truth: record.ground_truth.clone(),
        thinking: transcript.map(|transcript| transcript.thinking).unwrap_or_default(),
        answer: record.answer.clone(),
    })
}

/// A small copy of a photo that a page can hold.
fn picture(path: &Path) -> Result<String> {
    let photo = read_photo(path)?;
    let (width, height) = photo.dimensions();
    let scale = f64::from(PICTURE_SIDE) / f64::from(width.max(height));
    let fit = |side: u32| ((f64::from(side) * scale.min(1.0)) as u32).max(1);
    let small = thumbnail(&photo, fit(width), fit(height));
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, PICTURE_QUALITY)
        .encode_image(&small)
        .with_context(|| format!("a small copy of {}", path.display()))?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Row;
    use crate::evaluate::rows::tests::row;
    use crate::evaluate::settings::tests::settings;

    #[test]
    fn examples_are_of_many_classes_and_drawn_by_the_seed() {
        let settings = settings(Variant::Plain);
        let records: Vec<Record> = (0..40)
            .map(|number| {
                let row = Row { ground_truth: format!("class {}", number / 10), ..row() };
                Record::written(&settings, "id", &row, number, Vec::new())
            })
            .collect();
        let draws = |seed, most| {
            let found = drawn(records.iter().collect(), seed, most);
            found.into_iter().map(|record| record.row).collect::<Vec<_>>()
        };
        let classes: BTreeSet<usize> = draws(1, 4).into_iter().map(|row| row / 10).collect();
        assert_eq!(classes.len(), 4);
        assert_eq!((draws(1, 4), draws(1, 99).len()), (draws(1, 4), 40));
        assert_ne!(draws(1, 4), draws(2, 4));
    }
}
