//! A teacher's four parts as one chain of thought for training.
//!
//! Where we differ from the released file
//! (<https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/main/LLaMA-Factory/data/Fine-R1-Stage1-data.json>):
//! 1. The true name stands at a random place among the candidates. There it stands first in 93 %, which teaches
//!    that the first candidate wins. [`CandidateOrder::Teacher`] leaves the order as it came.
//! 2. The instruction to think stands in the question, as everywhere in this project. [`Form::Released`] puts it
//!    into a system message, word for word as there.

use super::structure::Structured;
use crate::cot::write::{Conversation, Turn};
use clap::ValueEnum;
use fine_r1_core::prompt::question::{INSTRUCTION, question_text};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The system message of the released file, which has it from open-r1.
pub const RELEASED_SYSTEM: &str = "A conversation between User and Assistant. The user asks a question, and the \
    Assistant solves it. The assistant first thinks about the reasoning process in the mind and then provides the user \
    with the answer. The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, \
    respectively, i.e., <think> reasoning process here </think><answer> answer here </answer>";

/// Where the true name stands among the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateOrder {
    /// At a random place.
    Shuffled,
    /// Where the teacher put it.
    Teacher,
}

/// Where the instruction to think stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// After the question, as `recognize` and `evaluate` ask.
    Question,
    /// In a system message, as in the released file.
    Released,
}

impl Form {
    /// The system message of every conversation, where there is one.
    #[must_use]
    pub fn system(self) -> Option<&'static str> {
        match self {
            Self::Question => None,
            Self::Released => Some(RELEASED_SYSTEM),
        }
    }
}

/// Moves the true name, which is one of the candidates, to a random place; the others keep their order.
pub fn place(candidates: &mut Vec<String>, truth: &str, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    candidates.retain(|name| name != truth);
    let index = random.random_range(0..=candidates.len());
    candidates.insert(index, truth.to_owned());
}

/// One conversation of one turn.
#[must_use]
pub fn conversation(image: String, question: &str, found: &Structured, form: Form) -> Conversation {
    let thought = format!(
        "Analysis of Visual Features:\n{}\n\nCandidate Subcategories:\n- {}\n\nComparison Process:\n{}\n\nFinal \
         Prediction:\nThe prediction is {}.",
        found.analysis,
        found.candidates.join("\n- "),
        found.comparison,
        found.prediction
    );
    let (question, between) = match form {
        Form::Question => (question_text(question, &[], Some(INSTRUCTION)), "\n"),
        Form::Released => (question.to_owned(), "\n\n"),
    };
    let answer = format!("<think>{thought}</think>{between}<answer>{}</answer>", found.prediction);
    Conversation { image, turns: vec![Turn { kind: "open", question, answer }] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fine_r1_core::reasoning::Transcript;

    fn found() -> Structured {
        Structured {
            analysis: "Black hood.".into(),
            candidates: ["A", "B", "C", "D"].map(str::to_owned).to_vec(),
            comparison: "B is paler.".into(),
            prediction: "A".into(),
        }
    }

    #[test]
    fn the_truth_stands_at_every_place_equally_often() {
        let mut counts = [0_i32; 4];
        for seed in 0..4000 {
            let mut candidates = found().candidates;
            place(&mut candidates, "A", seed);
            let at = candidates.iter().position(|name| name == "A").unwrap();
            counts[at] += 1;
            candidates.remove(at);
            assert_eq!(candidates, ["B", "C", "D"]);
        }
        // Four standard deviations of a binomial count of 1000.
        assert!(counts.iter().all(|count| (count - 1000).abs() < 110), "{counts:?}");
    }

    #[test]
    fn both_forms_are_well_formed() {
        for form in [Form::Question, Form::Released] {
            let conversation = conversation("a.jpg".into(), "What bird is this?", &found(), form);
            let [turn] = &conversation.turns[..] else { panic!("one turn") };
            let transcript = Transcript::parse(&turn.answer);
            assert!(transcript.well_formed);
            assert_eq!(transcript.answer, "A");
            assert!(transcript.thinking.contains("- A\n- B\n- C\n- D"));
            assert_eq!(turn.question.contains(INSTRUCTION), form.system().is_none());
        }
    }
}
