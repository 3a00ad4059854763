//! Figures of four small sets, reckoned by hand.

use super::*;
use crate::evaluate::rows::tests::row;
use crate::evaluate::settings::tests::settings;
use crate::evaluate::{Prompts, Row, Store};
use fine_r1_core::generate::StopReason;

/// Every text lies at some cosine from all true names, and the super-category's words at one half.
struct Cosines;

const COSINES: [(&str, f32); 13] = [
    ("Audi TT Coupe 2012", 1.0),
    ("Siamese_Cat", 1.0),
    ("BMW X5 SUV 2007", 1.0),
    ("Pug", 1.0),
    ("pug", 1.0),
    ("vehicle", 0.5),
    ("pet", 0.5),
    ("Audi TT", 0.9),
    ("Audi A4", 0.7),
    ("It could be an audi tt.", 0.3),
    ("a siamese cat", 0.8),
    ("dog", 0.6),
    ("BMW X5", 0.95),
];

impl TextEmbedder for Cosines {
    fn name(&self) -> &str {
        "cosines"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let vector = |text: &&str| {
            let (_, cosine) = COSINES.iter().find(|(known, _)| known == text).expect("a text of the sets");
            vec![*cosine, (1.0 - cosine * cosine).sqrt()]
        };
        Ok(texts.iter().map(vector).collect())
    }
}

/// A set's name and true name, answers in the closed world, and outputs in the open one.
type Case = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

/// More pictures in one data set than in the other, so that a mean over pictures would be another figure.
const CASES: [Case; 4] = [
    (
        "car_seen",
        "Audi TT Coupe 2012",
        &["Audi TT Coupe 2012", "audi_tt coupe 2012", "Audi TT Coupe 2012", "Audi TT"],
        &[
            "<answer>Audi TT</answer>",
            "<answer>Audi TT Coupe 2012</answer>",
            "<answer>Audi A4</answer>",
            "It could be an audi tt.",
        ],
    ),
    (
        "pet_seen",
        "Siamese_Cat",
        &["siamese cat", "dog"],
        &["<answer>a siamese cat</answer>", "<answer>dog</answer>"],
    ),
    ("car_unseen", "BMW X5 SUV 2007", &["BMW X5"], &["<answer>BMW X5</answer>"]),
    (
        "pet_unseen",
        "Pug",
        &["a pug", "PUG", "dog", "dog", "dog"],
        &[
            "<answer>pug</answer>",
            "<answer>dog</answer>",
            "<answer>dog</answer>",
            "<answer>pug</answer>",
            "<answer>dog</answer>",
        ],
    ),
];

const TAGS: &str = "{question} {options} <think> <answer>";

fn lines(closed: &str, open: &str) -> Vec<Line> {
    let mut sets = Vec::new();
    let mut plan = Vec::new();
    let mut store = Store::open(None).expect("memory");
    for (index, (name, truth, chosen, written)) in CASES.into_iter().enumerate() {
        let (dataset, split) = name.split_once('_').expect("a split");
        let row = Row { ground_truth: truth.into(), options: vec![truth.into(), "dog".into()], ..row() };
        sets.push(DataSet {
            name: name.into(),
            dataset: dataset.into(),
            split: Some(if split == "seen" { Split::Seen } else { Split::Unseen }),
            file: name.into(),
            sha256: String::new(),
            rows: vec![row.clone(); chosen.len()],
        });
        let chosen = chosen.iter().map(|name| format!("<think>x</think><answer>{name}</answer>"));
        let written = written.iter().map(|text| (*text).to_owned());
        for (task, prompt, new_tokens, outputs) in [
            (Task::ClosedWorld, closed, 2, chosen.collect::<Vec<_>>()),
            (Task::OpenWorld, open, 6, written.collect()),
        ] {
            let settings =
                Settings { set: name.into(), task, prompt: prompt.into(), ..settings(Variant::Plain) };
            let records = outputs.into_iter().enumerate().map(|(number, text)| {
                let stop = if text.contains("</answer>") { StopReason::EndToken } else { StopReason::Length };
                let output = Output { text, new_tokens, stop: Some(stop) };
                Record::written(&settings, &settings.id(), &row, number, vec![output])
            });
            store.add(records.collect()).expect("memory");
            plan.push((index, Question { settings, prompts: Prompts::trained() }));
        }
    }
    let categories = Categories::parse(&["car=vehicle".into()], &sets).expect("a pair");
    let material = Material {
        sets: &sets,
        plan: &plan,
        results: &store.results,
        categories: &categories,
        embedder: Some(&Cosines),
        probe: None,
        seed: 1,
        writes: true,
    };
    material.lines().expect("figures")
}

fn line<'all>(lines: &'all [Line], key: &str) -> &'all Line {
    lines.iter().find(|line| line.key == key).unwrap_or_else(|| panic!("no line {key}"))
}

/// Holds a line against its figures of every set, and seen, unseen, all.
fn check(lines: &[Line], key: &str, sets: [f64; 4], averages: [f64; 3]) {
    let line = line(lines, key);
    let averaged = [line.seen, line.unseen, line.all];
    let found = line.sets.iter().chain(&averaged).map(|cell| cell.expect("a figure").value);
    for (place, (found, expected)) in found.zip(sets.into_iter().chain(averages)).enumerate() {
        // Vectors are of f32.
        assert!((found - expected).abs() < 1e-6, "{key}, column {place}: {found}, expected {expected}");
    }
}

/// Tables 1, 2 and 6 of the paper: data sets weigh alike in a split, and splits in the whole.
#[test]
fn averages_are_those_of_the_papers_tables() {
    let lines = lines(TAGS, TAGS);
    check(&lines, "closed.exact", [0.75, 0.5, 0.0, 0.2], [0.625, 0.1, 0.3625]);
    // `a pug` contains it, `audi_tt coupe 2012` is it with its underscore turned to a space.
    check(&lines, "closed.substring", [0.75, 0.5, 0.0, 0.4], [0.625, 0.2, 0.4125]);
    // Of cars body and year need not be said, although their word is another here; an output without a tag
    // counts as a whole.
    check(&lines, "open.inclusion", [0.75, 0.5, 1.0, 0.4], [0.625, 0.7, 0.6625]);
    check(&lines, "open.exact", [0.25, 0.0, 0.0, 0.4], [0.125, 0.2, 0.1625]);
    // (0.8 + 1 + 0.4 + 0) / 4, (0.6 + 0.2) / 2, 0.9, (1 + 1 + 3 · 0.2) / 5.
    check(&lines, "open.similarity", [0.55, 0.4, 0.9, 0.52], [0.475, 0.71, 0.5925]);
}

/// An image that was asked in both worlds is one image: its interval must not be narrower for that.
#[test]
fn forms_of_answers_are_averaged_over_images() {
    let lines = lines(TAGS, TAGS);
    // Closed well-formed, open not, for every image.
    check(&lines, "well_formed", [0.5; 4], [0.5; 3]);
    check(&lines, "new_tokens", [4.0; 4], [4.0; 3]);
    // One of four open outputs ran into the limit, none of the closed ones.
    check(&lines, "cut_off", [0.125, 0.0, 0.0, 0.0], [0.0625, 0.0, 0.03125]);
    for key in ["well_formed", "new_tokens", "cut_off"] {
        let counts: Vec<usize> =
            line(&lines, key).sets.iter().map(|cell| cell.expect("a figure").count).collect();
        assert_eq!(counts, [4, 2, 1, 5], "{key}");
    }
    let formed = line(&lines, "well_formed").sets[0].expect("a figure");
    assert_eq!((formed.low, formed.high), (0.5, 0.5));
}

#[test]
fn nobody_is_well_formed_who_was_not_asked_to_be() {
    let has = |lines: &[Line]| lines.iter().any(|line| line.key == "well_formed");
    assert!(!has(&lines("{question} {options}", "{question}")));
    assert!(!has(&lines("{question} {options} <answer>", "{question} <answer>")));
    // Asked in the closed world alone, where all are.
    check(&lines(TAGS, "{question}"), "well_formed", [1.0; 4], [1.0; 3]);
}
