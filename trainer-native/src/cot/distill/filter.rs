//! Which chains of thought may be learnt from, and why the others may not.
//!
//! Fine-R1 section 4.2, <https://arxiv.org/abs/2602.07605>: asked again until the prediction is the label, the
//! label among the candidates, one language. The authors looked through the rest by hand; here length, form,
//! and words that give the label away are looked at too.

use super::language;
use super::structure::{Structured, normalised};
use crate::cot::rationale::MAX_CANDIDATES;
use crate::cot::teacher::Reply;
use serde::{Deserialize, Serialize};
use whatlang::Lang;

/// Why a text is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The teacher gave no answer to this question.
    Refused,
    /// The limit of tokens cut it.
    CutShort,
    /// A part is missing or in the wrong place.
    Malformed,
    /// More candidates than four, or fewer than two.
    CandidateCount,
    /// A candidate is there twice.
    CandidateTwice,
    /// The label is not among the candidates.
    LabelNotCandidate,
    /// The prediction is another name.
    PredictionDiffers,
    /// Fewer or more words than wanted.
    Length,
    /// Another language, or several.
    Language,
    /// It speaks of being told the label.
    LabelGivenAway,
    /// It counts the candidates, whose order changes.
    CandidatesNumbered,
}

/// A text that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The rule that it broke.
    pub reason: Reason,
    /// How it broke it.
    pub detail: String,
}

/// What a text must be like.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Fewest words of analysis and comparison.
    pub min_words: usize,
    /// Most words of analysis and comparison.
    pub max_words: usize,
    /// The language of all of it; any where there is none.
    pub language: Option<Lang>,
    /// Whether candidates may be spoken of as the first or the second.
    pub numbers_allowed: bool,
}

/// How a text betrays that its writer was told.
const GIVEN_AWAY: [&str; 14] = [
    "given label",
    "provided label",
    "the label says",
    "labeled as",
    "labelled as",
    "ground truth",
    "ground-truth",
    "as stated in the prompt",
    "according to the prompt",
    "as instructed",
    "we are told",
    "i was told",
    "you told me",
    "as an ai",
];

/// Words before a number or letter that stands for a candidate.
const COUNTED: [&str; 3] = ["candidate", "option", "choice"];
/// Words after which a candidate is counted.
const ORDINALS: [&str; 4] = ["first", "second", "third", "fourth"];

/// Reads an answer and holds it against the rules, the gravest first.
///
/// # Errors
/// The first rule that it breaks.
pub fn judge(reply: &Reply, label: &str, limits: &Limits) -> Result<Structured, Rejection> {
    let reject = |reason, detail: String| Err(Rejection { reason, detail });
    if !reply.complete {
        return reject(Reason::CutShort, "the limit of tokens was reached".to_owned());
    }
    let mut found = match Structured::parse(&reply.text) {
        Ok(found) => found,
        Err(detail) => return reject(Reason::Malformed, detail),
    };
    let truth = normalised(label);
    let prediction = normalised(&found.prediction);
    if prediction != truth {
        return reject(Reason::PredictionDiffers, format!("it predicts `{}`", found.prediction));
    }
    let names: Vec<String> = found.candidates.iter().map(|name| normalised(name)).collect();
    if let Some(twice) = (1..names.len()).find(|index| names[..*index].contains(&names[*index])) {
        return reject(Reason::CandidateTwice, format!("`{}` is there twice", found.candidates[twice]));
    }
    let Some(place) = names.iter().position(|name| *name == truth) else {
        return reject(
            Reason::LabelNotCandidate,
            format!("its candidates are {}", found.candidates.join(", ")),
        );
    };
    if !(2..=MAX_CANDIDATES).contains(&names.len()) {
        return reject(Reason::CandidateCount, format!("it has {} candidates", names.len()));
    }
    // From here on the label is spelled as the data spell it.
    found.candidates[place] = label.to_owned();
    found.prediction = label.to_owned();
    let text = format!("{}\n\n{}", found.analysis, found.comparison);
    let words = text.split_whitespace().count();
    if !(limits.min_words..=limits.max_words).contains(&words) {
        return reject(Reason::Length, format!("it has {words} words"));
    }
    if let Some(wanted) = limits.language
        && let Err(detail) = language::check(&text, &found.candidates, wanted)
    {
        return reject(Reason::Language, detail);
    }
    let lower = text.to_lowercase();
    if let Some(phrase) = GIVEN_AWAY.iter().find(|phrase| lower.contains(**phrase)) {
        return reject(Reason::LabelGivenAway, format!("it says `{phrase}`"));
    }
    if !limits.numbers_allowed
        && let Some(phrase) = counted(&lower)
    {
        return reject(Reason::CandidatesNumbered, format!("it says `{phrase}`"));
    }
    Ok(found)
}

/// `first candidate`, `option 2`, `candidate b` in a text of lower case.
fn counted(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    words.windows(2).find_map(|pair| {
        let noun = |word: &str| COUNTED.contains(&word.trim_end_matches('s'));
        let place = |word: &str| matches!(word, "1" | "2" | "3" | "4" | "b" | "c" | "d");
        let found = (ORDINALS.contains(&pair[0]) && noun(pair[1])) || (noun(pair[0]) && place(pair[1]));
        found.then(|| pair.join(" "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::teacher::Tokens;

    const LIMITS: Limits =
        Limits { min_words: 5, max_words: 60, language: Some(Lang::Eng), numbers_allowed: false };
    const ANALYSIS: &str =
        "The bird has a black hood, and its belly is of a bright yellow with some grey on the sides.";
    const COMPARISON: &str = "The Hooded Oriole has an orange hood, while the hood of this bird is black.";

    fn reply(analysis: &str, options: &str, comparison: &str, prediction: &str) -> Reply {
        let text = format!(
            "<analysis>{analysis}</analysis><options>{options}</options><comparison>{comparison}</comparison>\
             <prediction>{prediction}</prediction>"
        );
        Reply { text, complete: true, tokens: Tokens::default() }
    }

    fn reason(reply: &Reply) -> Option<Reason> {
        judge(reply, "Scott Oriole", &LIMITS).err().map(|rejection| rejection.reason)
    }

    #[test]
    fn a_sound_text_is_kept_and_spelled_as_the_label_is() {
        let found = judge(
            &reply(ANALYSIS, "hooded oriole\nSCOTT ORIOLE", COMPARISON, "the prediction is scott oriole."),
            "Scott Oriole",
            &LIMITS,
        )
        .unwrap();
        assert_eq!(found.candidates, ["hooded oriole", "Scott Oriole"]);
        assert_eq!(found.prediction, "Scott Oriole");
    }

    #[test]
    fn every_rule_has_its_reason() {
        let two = "Scott Oriole\nHooded Oriole";
        let german = "Der Vogel hat eine schwarze Haube und einen leuchtend gelben Bauch, dazu etwas Grau an den Seiten.";
        for (expected, reply) in [
            (Reason::CutShort, Reply { complete: false, ..reply(ANALYSIS, two, COMPARISON, "Scott Oriole") }),
            (Reason::Malformed, reply(ANALYSIS, "", COMPARISON, "Scott Oriole")),
            (Reason::PredictionDiffers, reply(ANALYSIS, two, COMPARISON, "Hooded Oriole")),
            (Reason::PredictionDiffers, reply(ANALYSIS, two, COMPARISON, "Scott Oriole or Hooded Oriole")),
            (
                Reason::LabelNotCandidate,
                reply(ANALYSIS, "Hooded Oriole\nOrchard Oriole", COMPARISON, "Scott Oriole"),
            ),
            (Reason::CandidateCount, reply(ANALYSIS, "Scott Oriole", COMPARISON, "Scott Oriole")),
            (Reason::CandidateCount, reply(ANALYSIS, "Scott Oriole\nA\nB\nC\nD", COMPARISON, "Scott Oriole")),
            (
                Reason::CandidateTwice,
                reply(ANALYSIS, "Scott Oriole\nscott_oriole", COMPARISON, "Scott Oriole"),
            ),
            (Reason::Length, reply("Yellow.", two, "Black.", "Scott Oriole")),
            (Reason::Length, reply(&ANALYSIS.repeat(4), two, COMPARISON, "Scott Oriole")),
            (Reason::Language, reply(german, two, &german[4..], "Scott Oriole")),
            (
                Reason::LabelGivenAway,
                reply(ANALYSIS, two, &format!("{COMPARISON} This fits the given label."), "Scott Oriole"),
            ),
            (
                Reason::CandidatesNumbered,
                reply(ANALYSIS, two, &format!("{COMPARISON} The first candidate fits."), "Scott Oriole"),
            ),
            (
                Reason::CandidatesNumbered,
                reply(ANALYSIS, two, &format!("{COMPARISON} So (option 2) is out."), "Scott Oriole"),
            ),
        ] {
            assert_eq!(reason(&reply), Some(expected), "{}", reply.text);
        }
        let numbered =
            reply(ANALYSIS, two, &format!("{COMPARISON} The first candidate fits."), "Scott Oriole");
        assert!(judge(&numbered, "Scott Oriole", &Limits { numbers_allowed: true, ..LIMITS }).is_ok());
        assert_eq!(counted("a second look at option a and candidates for it"), None);
    }
}
