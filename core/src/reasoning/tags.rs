//! The four tags that part thinking from answering, and how they are found in a text.
//!
//! White space beside `<`, `/` and `>` inside a tag is passed over, as the format reward does:
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/TAPO/examples/reward_function/cls_thinking.py>.

/// Thinking begins.
pub const THINK_OPEN: &str = "<think>";
/// Thinking ends.
pub const THINK_CLOSE: &str = "</think>";
/// The answer begins.
pub const ANSWER_OPEN: &str = "<answer>";
/// The answer ends.
pub const ANSWER_CLOSE: &str = "</answer>";

/// What a text begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// One of the tags, `length` bytes long as written.
    Tag { tag: &'static str, length: usize },
    /// Something that more text can make a tag.
    CutTag,
    /// Anything else.
    Text,
}

/// Says whether `text` begins with one of `tags`.
pub(super) fn beginning(text: &str, tags: &[&'static str]) -> Beginning {
    let mut found = Beginning::Text;
    for tag in tags {
        match tag_beginning(text, tag) {
            Beginning::Text => {}
            Beginning::CutTag => found = Beginning::CutTag,
            whole => return whole,
        }
    }
    found
}

fn tag_beginning(text: &str, tag: &'static str) -> Beginning {
    let mut letters = tag.chars().peekable();
    let mut previous = None;
    for (index, letter) in text.char_indices() {
        match letters.peek() {
            Some(expected) if *expected == letter => {
                letters.next();
                previous = Some(letter);
                if letters.peek().is_none() {
                    return Beginning::Tag { tag, length: index + letter.len_utf8() };
                }
            }
            Some(expected)
                if is_space(letter) && previous.is_some_and(|mark| is_mark(mark) || is_mark(*expected)) => {}
            _ => return Beginning::Text,
        }
    }
    Beginning::CutTag
}

/// Whether the format reward deletes white space beside this character.
pub(super) fn is_mark(letter: char) -> bool {
    matches!(letter, '<' | '>' | '/')
}

/// White space as Python's `\s` and `str.strip` have it: Unicode's, and four control characters.
pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[&str] = &[THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE];

    #[test]
    fn tags_may_hold_white_space_beside_their_marks() {
        for (text, tag, length) in [
            ("<think>x", THINK_OPEN, 7),
            ("< \n/\u{a0}think >", THINK_CLOSE, 13),
            ("<answer\t></answer>", ANSWER_OPEN, 9),
            ("</answer>", ANSWER_CLOSE, 9),
        ] {
            assert_eq!(beginning(text, ALL), Beginning::Tag { tag, length });
        }
    }

    #[test]
    fn what_is_not_a_tag_is_text() {
        for text in ["x", " <think>", "<thinks", "<th ink>", "<Think>", "< b", "<<", "</>", "<answer/"] {
            assert_eq!(beginning(text, ALL), Beginning::Text, "{text:?}");
        }
        assert_eq!(beginning("<think>", &[ANSWER_OPEN]), Beginning::Text);
    }

    #[test]
    fn what_can_become_a_tag_is_cut() {
        for text in ["", "<", "< ", "</", "</ t", "<thin", "<answer ", "</answer"] {
            assert_eq!(beginning(text, ALL), Beginning::CutTag, "{text:?}");
        }
    }
}
