//! Pre-training, first part: one question a picture, and its name for an answer.
//!
//! A fresh model learns the handful of names within a hundred steps; from then on every token that it
//! gets wrong is one that only looking can mend. Longer texts hide that signal: of a list of all that
//! can be seen it learns the scene, of varied conversations ([`super::caption`]) the wording.

use super::facts::Variant;
use super::write::{Conversation, Turn};

/// The same for every picture, so that the picture alone decides.
const QUESTION: &str = "Name this aircraft.";

/// The one conversation about a picture of `truth`.
pub fn name(truth: &Variant, image: String) -> Conversation {
    let turn = Turn { kind: "name", question: QUESTION.to_string(), answer: truth.name.clone() };
    Conversation { image, turns: vec![turn] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::{Fleet, fixture};
    use crate::cot::rationale::NAME_QUESTIONS;

    #[test]
    fn the_answer_is_the_name_and_the_question_one_that_will_be_asked_again() {
        let fleet = Fleet::new(serde_json::from_value(fixture::variants()).unwrap()).unwrap();
        for truth in fleet.variants() {
            let conversation = name(truth, "a.jpg".into());
            assert_eq!(conversation.turns[0].answer, truth.name);
            assert!(NAME_QUESTIONS.contains(&conversation.turns[0].question.as_str()));
        }
    }
}
