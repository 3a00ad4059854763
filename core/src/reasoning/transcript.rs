//! A whole output of the model, told apart into thinking and answer.
//!
//! `well_formed` follows the format reward of Fine-R1:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/TAPO/examples/reward_function/cls_thinking.py>.

use serde::{Deserialize, Serialize};

use super::{
    ReasoningStream,
    tags::{ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, is_mark, is_space},
};

/// What the model thought and what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transcript {
    /// The thinking, trimmed. What stands between `</think>` and `<answer>` belongs to it.
    pub thinking: String,
    /// The answer, trimmed: what follows `<answer>`; without one, what follows `</think>`; without
    /// any tag, the whole text.
    pub answer: String,
    /// Whether the text is in the format ([`matches_format`]) and nothing but white space follows
    /// the answer.
    pub well_formed: bool,
    /// What follows `</answer>`, as written.
    pub trailing: String,
    /// The whole text, as written.
    pub raw: String,
}

impl Transcript {
    /// Parses a whole text, with the parser that reads streams.
    pub fn parse(text: &str) -> Self {
        let mut stream = ReasoningStream::new();
        stream.push(text);
        stream.finish().1
    }
}

/// Whether the format reward of Fine-R1 is given for this text: with white space beside `<`, `>`
/// and `/` deleted, all of it is `<think> … </think><answer> … </answer>`.
///
/// The dots may hold tags too, so a text with two answers matches, although the second is
/// [`Transcript::trailing`].
pub fn matches_format(text: &str) -> bool {
    without_space_beside_marks(text)
        .strip_prefix(THINK_OPEN)
        .and_then(|rest| rest.strip_suffix(ANSWER_CLOSE))
        .is_some_and(|inside| inside.contains(&format!("{THINK_CLOSE}{ANSWER_OPEN}")))
}

/// The text with white space beside `<`, `>` and `/` deleted, which Fine-R1's rewards do before they read:
/// also inside an answer, so that `a / b` becomes `a/b`.
#[must_use]
pub fn without_space_beside_marks(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut space_start = None;
    let mut is_beside_mark = false;
    for (index, letter) in text.char_indices() {
        if is_space(letter) {
            space_start.get_or_insert(index);
            continue;
        }
        if let Some(start) = space_start.take()
            && !is_beside_mark
            && !is_mark(letter)
        {
            kept.push_str(&text[start..index]);
        }
        kept.push(letter);
        is_beside_mark = is_mark(letter);
    }
    if let Some(start) = space_start
        && !is_beside_mark
    {
        kept.push_str(&text[start..]);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_the_stream_over_the_whole() {
        assert_eq!(
            Transcript::parse("<think> Red breast. </think>\n\n<answer>European Robin</answer>"),
            Transcript {
                thinking: "Red breast.".to_owned(),
                answer: "European Robin".to_owned(),
                well_formed: true,
                trailing: String::new(),
                raw: "<think> Red breast. </think>\n\n<answer>European Robin</answer>".to_owned(),
            }
        );
    }

    #[test]
    fn the_format_is_that_of_the_reward() {
        for text in [
            "<think>a</think><answer>b</answer>",
            "<think></think> \n <answer></answer>",
            "\n<think>a\nb</think>\n<answer>b / c\n</answer>\n",
            " < think >a< / think >< answer >b< / answer > ",
            "<think>a</think>b</think><answer>c</answer>",
            "<think>a</think><answer>b</answer> or <answer>c</answer>",
        ] {
            assert!(matches_format(text), "{text:?}");
        }
        for text in [
            "",
            "a",
            "<think>a</think>",
            "<answer>b</answer>",
            "<think>a</think>b<answer>c</answer>",
            "x<think>a</think><answer>b</answer>",
            "<think>a</think><answer>b</answer>.",
            "<think>a</think><answer>b",
            "<Think>a</Think><answer>b</answer>",
            "<th ink>a</think><answer>b</answer>",
            "<think></think><answer>",
            "<think></answer>",
        ] {
            assert!(!matches_format(text), "{text:?}");
        }
    }

    #[test]
    fn a_second_answer_is_rewarded_but_not_well_formed() {
        let text = "<think>a</think><answer>b</answer> or <answer>c</answer>";
        let transcript = Transcript::parse(text);
        assert!(matches_format(text));
        assert!(!transcript.well_formed);
        assert_eq!(transcript.answer, "b");
        assert_eq!(transcript.trailing, " or <answer>c</answer>");
    }

    #[test]
    fn white_space_goes_only_beside_marks() {
        assert_eq!(
            without_space_beside_marks(" a b < c / d >\n e f \u{a0}\u{1c}"),
            " a b<c/d>e f \u{a0}\u{1c}"
        );
        assert_eq!(without_space_beside_marks(" \n"), " \n");
    }
}
