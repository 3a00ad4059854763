//! What teachers are asked: Fine-R1's two steps, <https://arxiv.org/abs/2602.07605>, section 4.2 and appendix C.
//!
//! The authors' generation code is not released; the slots (label, concepts, question) and the four parts are
//! theirs, the words are ours. Beyond theirs: candidates are spoken of by name, since their order changes later,
//! and nothing may say that the name was given.

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// What descriptions of one picture look at in turn.
const EMPHASES: [&str; 8] = [
    "shape and proportions of the whole",
    "colours and where they are",
    "patterns, markings and texture",
    "the parts that stand out most, and their form",
    "details at the front: head, face, nose or blossom",
    "details at the sides and the back",
    "sizes of parts compared with each other",
    "what tells it from others of its kind",
];

/// Ways to ask what something is; `{kind}` is its super-category.
const QUESTIONS: [&str; 16] = [
    "What {kind} is this?",
    "Which {kind} is shown in this image?",
    "What is the name of the {kind} in this picture?",
    "Can you identify the {kind} in this image?",
    "Identify the {kind} in the image.",
    "Name the {kind} that this picture shows.",
    "What type of {kind} is this?",
    "Which kind of {kind} does the image show?",
    "What is the specific name of this {kind}?",
    "Do you know what {kind} this is?",
    "What is the fine-grained category of this {kind}?",
    "Could you tell me which {kind} is pictured here?",
    "What is this {kind} called?",
    "Give the exact name of the {kind} in the photo.",
    "Which {kind} can be seen here?",
    "What {kind} does this photo show?",
];

/// One of the ways to ask for the name of a `kind`.
#[must_use]
pub fn question(kind: &str, seed: u64) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    QUESTIONS.choose(&mut random).map_or(QUESTIONS[0], |question| question).replace("{kind}", kind)
}

/// Asks for the `number`th description of a picture.
#[must_use]
pub fn description(kind: &str, label: &str, number: usize) -> String {
    let emphasis = EMPHASES[number % EMPHASES.len()];
    format!(
        "The {kind} in this picture is: {label}.\n\
         Describe what can be seen of it in this very picture, with attention to {emphasis}.\n\
         Write three to six lines, each one short visible feature (such as \"long curved bill\"), and nothing else. \
         Do not name it, and leave out what cannot be seen."
    )
}

/// Asks for a chain of thought in four parts.
#[must_use]
pub fn rationale(kind: &str, label: &str, concepts: &[String], question: &str, language: &str) -> String {
    let features = if concepts.is_empty() {
        String::new()
    } else {
        format!("Visual features that were found in it: {}.\n", concepts.join("; "))
    };
    format!(
        "The {kind} in this picture is: {label}.\n{features}\
         Somebody who was not told this is asked: \"{question}\"\n\
         Write how an expert reasons aloud to the answer from the picture alone. Use exactly these four parts, each \
         once and in this order:\n\
         <analysis>\nthe visible features that help to tell one {kind} from another\n</analysis>\n\
         <options>\ntwo to four names that it could be, one a line and nothing else; one of them is {label}, spelled \
         exactly so\n</options>\n\
         <comparison>\nthe candidates compared in detail, against what is visible; call them by their names, never by \
         a number or a letter\n</comparison>\n\
         <prediction>\nthe name alone, spelled exactly as above\n</prediction>\n\
         Write in {language}. Reason as if nobody had told you the name, and never mention that it was given."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_hold_what_they_must() {
        let concepts = ["black hood".to_owned(), "yellow belly".to_owned()];
        let prompt = rationale("bird", "Scott Oriole", &concepts, "What bird is this?", "English");
        for part in
            ["Scott Oriole", "black hood; yellow belly", "\"What bird is this?\"", "<options>", "English"]
        {
            assert!(prompt.contains(part), "{part}");
        }
        assert!(
            !rationale("bird", "Scott Oriole", &[], "What bird is this?", "English")
                .contains("features that were")
        );
        assert_ne!(description("bird", "Scott Oriole", 0), description("bird", "Scott Oriole", 1));
    }

    #[test]
    fn a_seed_fixes_the_question_and_seeds_differ() {
        let asked: std::collections::BTreeSet<String> = (0..200).map(|seed| question("car", seed)).collect();
        assert_eq!(asked.len(), QUESTIONS.len());
        assert_eq!(question("car", 5), question("car", 5));
        assert!(asked.iter().all(|question| question.contains("car") && !question.contains('{')));
    }
}
