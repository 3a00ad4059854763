//! Names to choose among: as somebody types them, and as the answer takes them up.

use crate::problem::failure;
use fine_r1_web::protocol::{Failure, codes};

/// Most names to choose among; the module takes no more either.
const MOST_NAMES: usize = 50;

/// Most names that are read out of a thought; a longer list is prose.
const MOST_WEIGHED: usize = 8;

/// Longest name in a thought; what is longer is prose.
const LONGEST_NAME: usize = 40;

/// How a thought begins to weigh candidates against each other.
const OPENINGS: [&str; 5] = ["Candidates: ", "Possible: ", "It could be ", "Is it ", "Compare "];

/// Refuses a list that is no choice or too long; none is a choice, too.
pub fn check(names: &[String]) -> Result<(), Failure> {
    match names.len() {
        0 | 2..=MOST_NAMES => Ok(()),
        1 => Err(failure(
            codes::BAD_OPTIONS,
            "one candidate is no choice",
            "give two or more names with commas between them, or none",
        )),
        count => Err(failure(
            codes::BAD_OPTIONS,
            format!("there are {count} candidates"),
            format!("give at most {MOST_NAMES}"),
        )),
    }
}

/// A name that was weighed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// As it was written.
    pub name: String,
    /// Whether it is the answer.
    pub is_answer: bool,
}

/// The names in a typed list: separated by commas, semicolons or line ends, each of them once.
pub fn parse(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in text.split([',', ';', '\n']).map(str::trim).filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| is_same(known, name)) {
            names.push(name.to_owned());
        }
    }
    names
}

/// The candidates behind an answer: those that were given or, where none were, those that the
/// thought weighs.
pub fn considered(given: &[String], thinking: &str, answer: &str) -> Vec<Considered> {
    let names = if given.is_empty() { weighed(thinking) } else { given.to_vec() };
    let chosen = answer_among(&names, answer);
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| Considered { name, is_answer: chosen == Some(index) })
        .collect()
}

/// Which of the names an answer means: the one that it is, or the only one that it mentions.
fn answer_among(names: &[String], answer: &str) -> Option<usize> {
    if let Some(index) = names.iter().position(|name| is_same(name, answer)) {
        return Some(index);
    }
    let answer = answer.to_lowercase();
    let mentioned: Vec<(usize, String)> = names
        .iter()
        .map(|name| name.to_lowercase())
        .enumerate()
        .filter(|(_, name)| has_word(&answer, name))
        .collect();
    // "A330-200" mentions "A330" too; the longer name is meant.
    let mut longest = mentioned
        .iter()
        .filter(|(_, name)| !mentioned.iter().any(|(_, other)| other != name && has_word(other, name)));
    match (longest.next(), longest.next()) {
        (Some((index, _)), None) => Some(*index),
        _ => None,
    }
}

/// The names in the sentence of a thought that weighs candidates; empty where there is none.
fn weighed(thinking: &str) -> Vec<String> {
    for opening in OPENINGS {
        let Some((_, rest)) = thinking.split_once(opening) else { continue };
        let list = match rest.split_once(". ") {
            Some((list, _)) => list,
            None => rest,
        };
        let list = list.split(['?', '\n', ';']).next().unwrap_or_default();
        let names = parse(&list.trim_end_matches('.').replace(" or ", ",").replace(" and ", ","));
        let is_list =
            (2..=MOST_WEIGHED).contains(&names.len()) && names.iter().all(|name| name.len() <= LONGEST_NAME);
        if is_list {
            return names;
        }
    }
    Vec::new()
}

fn is_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim().trim_end_matches('.').to_lowercase();
    plain(one) == plain(other)
}

/// Whether a word stands in a text with no letter or digit beside it.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        ![before, after].into_iter().flatten().any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn answer_of(given: &[&str], answer: &str) -> Option<String> {
        considered(&names(given), "", answer).into_iter().find(|name| name.is_answer).map(|name| name.name)
    }

    #[test]
    fn a_list_is_read_as_it_is_typed() {
        assert_eq!(parse("A319, A320;A321\nE-190"), names(&["A319", "A320", "A321", "E-190"]));
        assert_eq!(parse(" ,, a320 , A320,"), names(&["a320"]));
        assert_eq!(parse("House Sparrow, Tree Sparrow"), names(&["House Sparrow", "Tree Sparrow"]));
        assert_eq!(parse("  "), names(&[]));
    }

    #[test]
    fn a_list_is_a_choice_of_bounded_length() {
        let list = |count: usize| (0..count).map(|number| format!("A{number}")).collect::<Vec<_>>();
        for count in [0, 2, 50] {
            assert_eq!(check(&list(count)), Ok(()), "{count}");
        }
        for (count, word) in [(1, "no choice"), (51, "51")] {
            let error = check(&list(count)).unwrap_err();
            assert_eq!(error.code, codes::BAD_OPTIONS);
            assert!(error.message.contains(word), "{}", error.message);
            assert!(!error.hint.is_empty());
        }
    }

    #[test]
    fn the_answer_is_found_among_the_candidates() {
        assert_eq!(answer_of(&["A319", "A320"], "a320.").as_deref(), Some("A320"));
        assert_eq!(answer_of(&["A319", "A320"], "It is the A319").as_deref(), Some("A319"));
        assert_eq!(answer_of(&["A330", "A330-200"], "an A330-200, I think").as_deref(), Some("A330-200"));
        assert_eq!(answer_of(&["A319", "A320"], "A319 or A320"), None);
        assert_eq!(answer_of(&["737-800"], "737-800ER"), None);
        assert_eq!(answer_of(&["A319"], ""), None);
    }

    #[test]
    fn candidates_of_a_thought_stand_in_where_none_were_given() {
        for (thought, expected) in [
            (
                "It has two jet engines. Candidates: A319, A320, 737-300. The A319 is short.",
                vec!["A319", "A320", "737-300"],
            ),
            ("Is it E-190 or E-195? The E-190 is shorter.", vec!["E-190", "E-195"]),
            ("Compare ATR-42, ATR-72 and DHC-8-400.", vec!["ATR-42", "ATR-72", "DHC-8-400"]),
            ("It could be raining.", vec![]),
            ("A white aircraft.", vec![]),
        ] {
            let found: Vec<String> = considered(&[], thought, "").into_iter().map(|name| name.name).collect();
            assert_eq!(found, expected, "{thought}");
        }
        let given = considered(&names(&["A320"]), "Is it A319 or A321?", "A320");
        assert_eq!(given, [Considered { name: "A320".into(), is_answer: true }]);
    }
}
