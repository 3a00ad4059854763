//! Stage 1, a chain of thought for every training picture (Fine-R1, arXiv 2602.07605, section 4.2):
//! visual analysis, at most four candidates, comparison, prediction.
//!
//! Where we differ from the paper:
//! 1. The text comes from measured attributes and phrase tables, not from a larger model: every
//!    statement is true of the variant, so nothing has to be filtered by hand.
//! 2. The true name stands at a uniformly random place among the candidates. In the released file
//!    it stands first in 93 % of the samples, which teaches that the first candidate wins.
//! 3. Half of the samples are closed-world, with the options in the question; the candidates then
//!    are the options, in their order. The released file has open questions only.

use anyhow::{Result, bail};
use fine_r1_core::prompt::question::{INSTRUCTION, question_text};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::facts::{Feature, Fleet, Split, Variant, contrast, differences, listed, pick};
use super::write::{Conversation, Turn};

/// How many names are weighed against each other, at most.
pub const MAX_CANDIDATES: usize = 4;

/// The ways in which the name is asked for.
pub const NAME_QUESTIONS: [&str; 12] = [
    "Which aircraft variant is this?",
    "What aircraft variant is shown in this image?",
    "Identify the aircraft variant in the image.",
    "Name the aircraft variant that appears in this picture.",
    "Can you tell which aircraft variant is pictured here?",
    "What is the exact model of this aircraft?",
    "What is the fine-grained category of this aircraft?",
    "Which specific type of aircraft does this image show?",
    "Which aircraft is this?",
    "What aircraft is shown?",
    "Name this aircraft.",
    "What type of aircraft is this?",
];

/// The options come from one group of neighbours this often, else from anywhere: all of them, since
/// one stranger among neighbours would be known for a distractor.
const NEIGHBOUR_SHARE: f64 = 0.75;

/// One conversation of one turn about a picture of `truth`.
pub fn rationale(
    fleet: &Fleet,
    truth: &Variant,
    image: String,
    closed: bool,
    rng: &mut ChaCha8Rng,
) -> Result<Conversation> {
    refuse_unseen(truth)?;
    let question = pick(&NAME_QUESTIONS, rng);
    let candidates = if closed {
        draw_options(fleet, truth, |variant| variant.split == Split::Seen, rng)
    } else {
        open_candidates(fleet, truth, rng)
    };
    let options: &[String] = if closed { &candidates } else { &[] };
    let mut thought = vec![
        analysis(fleet, truth, rng),
        weigh(&candidates, rng),
        comparison(fleet, truth, &candidates, rng),
        prediction(truth, rng),
    ];
    thought.retain(|part| !part.is_empty());
    let thought = thought.join(" ");
    let name = &truth.name;
    let answer = format!("<think>{thought}</think>\n<answer>{name}</answer>");
    let kind = if closed { "closed" } else { "open" };
    Ok(Conversation {
        image,
        turns: vec![Turn { kind, question: question_text(question, options, Some(INSTRUCTION)), answer }],
    })
}

/// A chain of thought in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    pub analysis: String,
    /// The true name is one of them.
    pub candidates: Vec<String>,
    pub comparison: String,
}

/// The parts of a chain of thought about an open question; the prediction is the true name.
pub fn open_parts(fleet: &Fleet, truth: &Variant, rng: &mut ChaCha8Rng) -> Result<Parts> {
    refuse_unseen(truth)?;
    let candidates = open_candidates(fleet, truth, rng);
    Ok(Parts {
        analysis: analysis(fleet, truth, rng),
        comparison: comparison(fleet, truth, &candidates, rng),
        candidates,
    })
}

fn refuse_unseen(truth: &Variant) -> Result<()> {
    if truth.split != Split::Seen {
        bail!("{} is an unseen variant: stage 1 must not name it", truth.name);
    }
    Ok(())
}

/// The true name and three others that `admit` lets in, shuffled.
///
/// The others are not simply the neighbours of the truth: then the name in the middle of the four
/// would be the answer, and no picture would be needed. A group (some variant and its neighbours)
/// that holds the truth is drawn, and the others from it: within a group all are alike.
pub fn draw_options(
    fleet: &Fleet,
    truth: &Variant,
    admit: impl Fn(&Variant) -> bool,
    rng: &mut ChaCha8Rng,
) -> Vec<String> {
    let admitted: Vec<&Variant> = fleet.variants().iter().filter(|variant| admit(variant)).collect();
    let mut everyone: Vec<String> = admitted.iter().map(|variant| variant.name.clone()).collect();
    everyone.shuffle(rng);
    let whole_fleet = admitted.len() == fleet.variants().len();
    let groups: Vec<Vec<String>> = admitted
        .iter()
        .map(|centre| {
            let neighbours = match whole_fleet {
                true => &centre.nearest,
                false => &centre.nearest_seen,
            };
            let mut group = neighbours.clone();
            group.push(centre.name.clone());
            group.retain(|name| everyone.contains(name));
            group
        })
        .filter(|group| group.contains(&truth.name))
        .collect();
    let mut others = match groups.choose(rng) {
        Some(group) if rng.random_bool(NEIGHBOUR_SHARE) => group.clone(),
        _ => Vec::new(),
    };
    others.shuffle(rng);
    // A group that is too small is filled up from everyone.
    for name in everyone {
        if !others.contains(&name) {
            others.push(name);
        }
    }
    others.retain(|name| *name != truth.name);
    others.truncate(MAX_CANDIDATES - 1);
    others.push(truth.name.clone());
    others.shuffle(rng);
    others
}

/// What is seen: the engines, the proportion of the fuselage and one to three more features.
pub fn analysis(fleet: &Fleet, truth: &Variant, rng: &mut ChaCha8Rng) -> String {
    let count = rng.random_range(3..=5);
    let features = fleet.telling_features(truth, count, rng);
    let split = rng.random_range(1..=features.len());
    let (together, apart) = features.split_at(split);
    let opening = pick(&["I see", "It has", "This aircraft has", "The image shows", "There are"], rng);
    // A list that begins with "There are" begins with a plural.
    let opening = match together[0] {
        Feature::Engines if truth.attributes.engines > 1 => opening,
        _ if opening == "There are" => "I see",
        _ => opening,
    };
    let phrases: Vec<String> = together.iter().map(|&feature| truth.phrase(feature, rng)).collect();
    let mut text = format!("{opening} {}.", listed(&phrases, "and"));
    let alone: Vec<Feature> = apart
        .iter()
        .copied()
        .filter(|feature| matches!(feature, Feature::Fuselage | Feature::Engines))
        .collect();
    let rest: Vec<String> = apart
        .iter()
        .filter(|feature| !alone.contains(feature))
        .map(|&feature| truth.phrase(feature, rng))
        .collect();
    if !rest.is_empty() {
        let opening = pick(&["It also has", "I also see", "There is also"], rng);
        // As above: a singular verb wants a singular.
        let opening = match opening {
            "There is also" if !rest[0].starts_with("a ") => "It also has",
            _ => opening,
        };
        text.push_str(&format!(" {opening} {}.", listed(&rest, "and")));
    }
    for feature in alone {
        text.push(' ');
        text.push_str(&truth.sentence(feature, rng));
    }
    text
}

fn open_candidates(fleet: &Fleet, truth: &Variant, rng: &mut ChaCha8Rng) -> Vec<String> {
    let count = rng.random_range(MAX_CANDIDATES - 1..=MAX_CANDIDATES);
    let mut others: Vec<&String> = truth
        .nearest_seen
        .iter()
        .filter(|name| fleet.get(name).is_some_and(|variant| variant.split == Split::Seen))
        .collect();
    others.shuffle(rng);
    others.truncate(count - 1);
    others.push(&truth.name);
    others.shuffle(rng);
    others.into_iter().cloned().collect()
}

fn weigh(candidates: &[String], rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..5) {
        0 => format!("Candidates: {}.", candidates.join(", ")),
        1 => format!("It could be {}.", alternatives(candidates)),
        2 => format!("Is it {}?", alternatives(candidates)),
        3 => format!("Compare {}.", listed(candidates, "and")),
        _ => format!("Possible: {}.", alternatives(candidates)),
    }
}

fn alternatives(candidates: &[String]) -> String {
    listed(candidates, "or")
}

/// One or two true statements that rule other candidates out, the hardest to tell apart first.
fn comparison(fleet: &Fleet, truth: &Variant, candidates: &[String], rng: &mut ChaCha8Rng) -> String {
    let mut others: Vec<(&Variant, f64)> = candidates
        .iter()
        .filter(|name| **name != truth.name)
        .filter_map(|name| fleet.get(name))
        .map(|other| (other, hardness(truth, other, rng)))
        .collect();
    others.sort_by(|left, right| right.1.total_cmp(&left.1));
    others.truncate(if rng.random_bool(0.85) { 2 } else { 1 });
    let ruled_out: Vec<(&Variant, Feature)> = others
        .into_iter()
        .filter_map(|(other, _)| {
            let feature = differences(truth, other, rng).first().copied()?;
            Some((other, feature))
        })
        .collect();
    if let [(one, feature), (two, same)] = ruled_out[..]
        && feature == same
        && feature != Feature::Fuselage
        && contrast(one, two, feature) == 0.0
    {
        let predicate = one.predicate(truth, feature, rng);
        let plural = plural_predicate(&predicate);
        return format!("The {} and {} {plural}.", one.name, two.name);
    }
    let clauses: Vec<String> = ruled_out
        .into_iter()
        .map(|(other, feature)| {
            let predicate = other.predicate(truth, feature, rng);
            format!("{} {predicate}", other.name)
        })
        .collect();
    if clauses.is_empty() {
        return String::new();
    }
    let join = pick(&["; the ", ". The "], rng);
    format!("The {}.", clauses.join(join))
}

/// How near another variant stands in the list of neighbours, with some jitter.
fn hardness(truth: &Variant, other: &Variant, rng: &mut ChaCha8Rng) -> f64 {
    let place = |names: &[String]| names.iter().position(|name| *name == other.name);
    let place = place(&truth.nearest).or_else(|| place(&truth.nearest_seen));
    let noise: f64 = rng.random();
    2.0 * noise - place.map_or(5.0, |place| place as f64)
}

/// `has its engines …` of two: `have their engines …`.
fn plural_predicate(predicate: &str) -> String {
    match predicate.split_once(' ') {
        Some(("has", rest)) => format!("have {}", rest.replacen("its ", "their ", 1)),
        Some(("is", rest)) => {
            let noun = rest.trim_start_matches("an ").trim_start_matches("a ");
            let plural = if noun.ends_with("aircraft") { "" } else { "s" };
            format!("are {noun}{plural}")
        }
        _ => predicate.to_string(),
    }
}

fn prediction(truth: &Variant, rng: &mut ChaCha8Rng) -> String {
    let name = &truth.name;
    let proportion = truth.proportion();
    match rng.random_range(0..7) {
        0 => format!("So it is the {name}."),
        1 => format!("This is the {name}."),
        2 => format!("The {name} fits best."),
        3 => format!("The {name} matches."),
        4 => format!("It must be the {name}."),
        5 => format!("The {name} fits, {proportion}."),
        _ => format!("With {proportion} it is the {name}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture;
    use rand::SeedableRng;

    fn fleet() -> Fleet {
        Fleet::new(serde_json::from_value(fixture::variants()).unwrap()).unwrap()
    }

    #[test]
    fn options_hold_the_truth_once_and_nobody_twice() {
        let fleet = fleet();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for truth in fleet.variants() {
            for _ in 0..50 {
                let options = draw_options(&fleet, truth, |_| true, &mut rng);
                let mut sorted = options.clone();
                sorted.sort();
                sorted.dedup();
                assert_eq!(sorted.len(), MAX_CANDIDATES);
                assert!(options.contains(&truth.name));
            }
        }
    }

    #[test]
    fn options_alone_do_not_tell_the_truth() {
        use std::collections::HashMap;
        let fleet = fleet();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut seen: HashMap<Vec<String>, HashMap<String, usize>> = HashMap::new();
        let mut draw = |_| {
            let truth = fleet.variants().choose(&mut rng).unwrap();
            let mut options = draw_options(&fleet, truth, |_| true, &mut rng);
            options.sort();
            (options, truth.name.clone())
        };
        for (options, truth) in (0..20_000).map(&mut draw) {
            *seen.entry(options).or_default().entry(truth).or_default() += 1;
        }
        let right = (0..4_000)
            .map(&mut draw)
            .filter(|(options, truth)| {
                let guess =
                    seen.get(options).and_then(|counts| counts.iter().max_by_key(|(_, count)| **count));
                guess.is_some_and(|(name, _)| name == truth)
            })
            .count();
        // Chance is a quarter; the neighbours of the truth as options would give two thirds.
        assert!(right < 1_600, "{right} of 4000 guessed without a picture");
    }

    #[test]
    fn the_unseen_are_not_reasoned_about() {
        let fleet = fleet();
        let truth = fleet.get("A319").unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let error = rationale(&fleet, truth, String::new(), false, &mut rng).unwrap_err();
        assert!(error.to_string().contains("A319"));
    }

    #[test]
    fn two_of_a_kind_share_a_clause() {
        assert_eq!(plural_predicate("has its engines at the rear"), "have their engines at the rear");
        assert_eq!(plural_predicate("is a regional jet"), "are regional jets");
        assert_eq!(plural_predicate("is a light aircraft"), "are light aircraft");
    }
}
