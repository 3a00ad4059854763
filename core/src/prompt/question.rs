//! The words of a question: the same in training, on the command line and in the browser.
//!
//! Two parts after the question itself, as in Fine-R1's prompts: the options, where there are some,
//! and the instruction to think before answering.
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/main/TAPO/examples/format_prompt/cls_thinking.jinja>

use super::{Message, Part};

/// Asked when nobody asks anything else.
pub const DEFAULT_QUESTION: &str = "Which aircraft variant is this?";

/// What a user says to get a chain of thought: in training and whenever the model is asked.
pub const INSTRUCTION: &str =
    "First think inside <think> </think>, then give the final answer inside <answer> </answer>.";

/// `Options: A, B, C, D.`
#[must_use]
pub fn options_line(candidates: &[String]) -> String {
    format!("Options: {}.", candidates.join(", "))
}

/// The question, the options where there are some, the instruction where a chain of thought is
/// wanted; a line each.
#[must_use]
pub fn question_text(question: &str, candidates: &[String], instruction: Option<&str>) -> String {
    let mut lines = vec![question.to_owned()];
    if !candidates.is_empty() {
        lines.push(options_line(candidates));
    }
    lines.extend(instruction.map(str::to_owned));
    lines.join("\n")
}

/// One user message: a photo, named for messages about it, and a question that wants thought.
#[must_use]
pub fn ask(photo: &str, question: &str, candidates: &[String]) -> Vec<Message> {
    let text = question_text(question, candidates, Some(INSTRUCTION));
    vec![Message::user([Part::image(photo), Part::text(text)])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_spelled_in_one_way() {
        let options = ["A320", "E-190"].map(str::to_owned);
        assert_eq!(options_line(&options), "Options: A320, E-190.");
        assert_eq!(question_text("Which?", &[], None), "Which?");
        assert_eq!(
            question_text("Which?", &options, Some("Think.")),
            "Which?\nOptions: A320, E-190.\nThink."
        );
    }
}
