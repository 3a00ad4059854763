//! Tells thinking from answering while the text comes, wherever it is cut, and loses none of it.
//!
//! Reads the output format of Fine-R1 (`<think> … </think><answer> … </answer>`,
//! <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/blob/2c656a35cb7f66875e12a3053c79834d3c4266af/TAPO/examples/reward_function/cls_thinking.py>),
//! and whatever else a model may write, by these rules:
//!
//! 1. White space before the first text is passed over.
//! 2. `<think>` as the first text opens the thinking, `<answer>` the answer. Anything else is
//!    thinking too, because the model thinks first.
//! 3. `</think>` ends the thinking, whether it was opened or not. White space between it and
//!    `<answer>` is dropped; any other text there is still told as thinking.
//! 4. `<answer>` opens the answer wherever there was none before, `</answer>` ends it. What follows
//!    is kept for [`Transcript::trailing`], and told in no event.
//! 5. A tag that has no meaning where it stands is text: a second `<think>`, a `</answer>` before
//!    any `<answer>`, a tag inside the answer.
//!
//! The events cannot know what is still to come; the transcript does. Where no `<answer>` came,
//! its answer is what follows `</think>`, and where no tag came at all, the whole text.

use std::mem;

use serde::{Deserialize, Serialize};

use super::{
    Transcript, matches_format,
    tags::{ANSWER_CLOSE, ANSWER_OPEN, Beginning, THINK_CLOSE, THINK_OPEN, beginning, is_space},
};

/// A piece of what the model says, as soon as it is certain what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReasoningEvent {
    /// The next piece of the thinking.
    Thinking {
        /// The text, without tags.
        text: String,
    },
    /// The next piece of the answer.
    Answering {
        /// The text, without tags.
        text: String,
    },
}

/// Parses a text that comes in pieces.
#[derive(Debug, Clone, Default)]
pub struct ReasoningStream {
    place: Place,
    /// What came in and is not told yet: only what could still become a tag, and white space before
    /// one.
    withheld: String,
    has_think_open: bool,
    thinking: String,
    remark: String,
    answer: String,
    trailing: String,
    raw: String,
}

/// Where in the format the stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Before the first text.
    #[default]
    Prologue,
    /// Before `</think>`.
    Thinking,
    /// After `</think>`, before any text.
    Between,
    /// After `</think>`, in a text that is not the answer.
    Remark,
    /// After `<answer>`.
    Answering,
    /// After `</answer>`.
    Trailing,
}

impl Place {
    /// The tags that mean something here.
    fn tags(self) -> &'static [&'static str] {
        match self {
            Self::Prologue => &[THINK_OPEN, THINK_CLOSE, ANSWER_OPEN],
            Self::Thinking => &[THINK_CLOSE, ANSWER_OPEN],
            Self::Between | Self::Remark => &[ANSWER_OPEN],
            Self::Answering => &[ANSWER_CLOSE],
            Self::Trailing => &[],
        }
    }

    /// Where one of these tags leads.
    fn after(tag: &str) -> Self {
        match tag {
            THINK_OPEN => Self::Thinking,
            THINK_CLOSE => Self::Between,
            ANSWER_OPEN => Self::Answering,
            _ => Self::Trailing,
        }
    }
}

impl ReasoningStream {
    /// A stream at the start of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece of text; gives what is certain now, often nothing.
    pub fn push(&mut self, text: &str) -> Vec<ReasoningEvent> {
        self.raw.push_str(text);
        self.withheld.push_str(text);
        self.advance(false)
    }

    /// Ends the text: gives what was withheld, and the whole.
    pub fn finish(mut self) -> (Vec<ReasoningEvent>, Transcript) {
        let events = self.advance(true);
        let (thinking, answer) = match self.place {
            Place::Answering | Place::Trailing => (self.thinking + &self.remark, self.answer),
            Place::Between | Place::Remark => (self.thinking, self.remark),
            Place::Prologue | Place::Thinking if self.has_think_open => (self.thinking, String::new()),
            Place::Prologue | Place::Thinking => (String::new(), self.thinking),
        };
        let transcript = Transcript {
            thinking: thinking.trim_matches(is_space).to_owned(),
            answer: answer.trim_matches(is_space).to_owned(),
            well_formed: matches_format(&self.raw) && self.trailing.chars().all(is_space),
            trailing: self.trailing,
            raw: self.raw,
        };
        (events, transcript)
    }

    /// Tells what is certain; at the end of the text everything is.
    fn advance(&mut self, is_end: bool) -> Vec<ReasoningEvent> {
        let withheld = mem::take(&mut self.withheld);
        let mut rest = withheld.as_str();
        let mut events = Vec::new();
        while !rest.is_empty() {
            match self.place {
                Place::Prologue | Place::Between => {
                    let text_start = rest.len() - rest.trim_start_matches(is_space).len();
                    match beginning(&rest[text_start..], self.place.tags()) {
                        Beginning::Tag { tag, length } => {
                            rest = &rest[text_start + length..];
                            self.enter(tag);
                        }
                        Beginning::CutTag if !is_end || text_start == rest.len() => break,
                        Beginning::CutTag | Beginning::Text if self.place == Place::Prologue => {
                            rest = &rest[text_start..];
                            self.place = Place::Thinking;
                        }
                        Beginning::CutTag | Beginning::Text => self.place = Place::Remark,
                    }
                }
                Place::Thinking | Place::Remark | Place::Answering | Place::Trailing => {
                    let (text, tag, length) = self.until_tag(rest, is_end);
                    self.tell(text, &mut events);
                    rest = &rest[text.len() + length..];
                    match tag {
                        Some(tag) => self.enter(tag),
                        None => break,
                    }
                }
            }
        }
        self.withheld = rest.to_owned();
        events
    }

    /// The text before the next tag that means something here, the tag, and its length as written.
    fn until_tag<'text>(&self, rest: &'text str, is_end: bool) -> (&'text str, Option<&'static str>, usize) {
        for (index, _) in rest.match_indices('<') {
            match beginning(&rest[index..], self.place.tags()) {
                Beginning::Tag { tag, length } => return (&rest[..index], Some(tag), length),
                Beginning::CutTag if !is_end => return (&rest[..index], None, 0),
                Beginning::CutTag | Beginning::Text => {}
            }
        }
        (rest, None, 0)
    }

    fn enter(&mut self, tag: &str) {
        self.has_think_open |= tag == THINK_OPEN;
        self.place = Place::after(tag);
    }

    fn tell(&mut self, text: &str, events: &mut Vec<ReasoningEvent>) {
        if text.is_empty() {
            return;
        }
        match self.place {
            Place::Prologue | Place::Thinking => self.thinking.push_str(text),
            Place::Between | Place::Remark => self.remark.push_str(text),
            Place::Answering => self.answer.push_str(text),
            Place::Trailing => self.trailing.push_str(text),
        }
        match (self.place, events.last_mut()) {
            (Place::Trailing, _) => {}
            (Place::Answering, Some(ReasoningEvent::Answering { text: last })) => {
                last.push_str(text);
            }
            (Place::Answering, _) => events.push(ReasoningEvent::Answering { text: text.to_owned() }),
            (_, Some(ReasoningEvent::Thinking { text: last })) => last.push_str(text),
            _ => events.push(ReasoningEvent::Thinking { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thinking(text: &str) -> ReasoningEvent {
        ReasoningEvent::Thinking { text: text.to_owned() }
    }

    fn answering(text: &str) -> ReasoningEvent {
        ReasoningEvent::Answering { text: text.to_owned() }
    }

    /// The events of these pieces, neighbours of one kind put together, and the transcript.
    fn run<'text>(pieces: impl IntoIterator<Item = &'text str>) -> (Vec<ReasoningEvent>, Transcript) {
        let mut stream = ReasoningStream::new();
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(stream.push(piece));
        }
        let (last, transcript) = stream.finish();
        events.extend(last);
        events.dedup_by(|right, left| match (left, right) {
            (ReasoningEvent::Thinking { text }, ReasoningEvent::Thinking { text: more })
            | (ReasoningEvent::Answering { text }, ReasoningEvent::Answering { text: more }) => {
                text.push_str(more);
                true
            }
            _ => false,
        });
        (events, transcript)
    }

    #[test]
    fn each_piece_is_told_as_soon_as_it_is_certain() {
        let mut stream = ReasoningStream::new();
        assert_eq!(stream.push(" \n<thi"), []);
        assert_eq!(stream.push("nk>The bill"), [thinking("The bill")]);
        assert_eq!(stream.push(" is < 2 cm <"), [thinking(" is < 2 cm ")]);
        assert_eq!(stream.push("b> </think"), [thinking("<b> ")]);
        assert_eq!(stream.push(">\n\n"), []);
        assert_eq!(stream.push("<answer>Rob"), [answering("Rob")]);
        assert_eq!(stream.push("in</"), [answering("in")]);
        assert_eq!(stream.push("answer> \n"), []);
        let (events, transcript) = stream.finish();
        assert_eq!(events, []);
        assert_eq!(transcript.thinking, "The bill is < 2 cm <b>");
        assert_eq!(transcript.answer, "Robin");
        assert_eq!(transcript.trailing, " \n");
        assert!(transcript.well_formed);
    }

    #[test]
    fn only_tags_that_mean_something_are_withheld() {
        let mut stream = ReasoningStream::new();
        assert_eq!(stream.push("<think><thin"), [thinking("<thin")]);
        assert_eq!(stream.push("k></answer"), [thinking("k></answer")]);
        assert_eq!(stream.push("></think><answer></thin"), [thinking(">"), answering("</thin")]);
    }

    #[test]
    fn events_are_tagged_by_type() {
        assert_eq!(serde_json::to_string(&thinking("a")).unwrap(), r#"{"type":"thinking","text":"a"}"#);
        assert_eq!(
            serde_json::from_str::<ReasoningEvent>(r#"{"type":"answering","text":"b"}"#).unwrap(),
            answering("b")
        );
    }

    /// text, events, thinking, answer, trailing, well formed
    type Case<'a> = (&'a str, &'a [ReasoningEvent], &'a str, &'a str, &'a str, bool);

    #[test]
    fn every_rule_has_its_case() {
        let cases: &[Case<'_>] = &[
            ("<think>a</think>\n<answer>b</answer>", &[thinking("a"), answering("b")], "a", "b", "", true),
            (
                " < think >a< /think ><answer > b </ answer>\n",
                &[thinking("a"), answering(" b ")],
                "a",
                "b",
                "\n",
                true,
            ),
            ("<answer>b</answer>", &[answering("b")], "", "b", "", false),
            ("a</think><answer>b</answer>", &[thinking("a"), answering("b")], "a", "b", "", false),
            ("</think><answer>b</answer>", &[answering("b")], "", "b", "", false),
            ("<think>a<answer>b</answer>", &[thinking("a"), answering("b")], "a", "b", "", false),
            (
                "<think>a</think>so <answer>b</answer>",
                &[thinking("aso "), answering("b")],
                "aso",
                "b",
                "",
                false,
            ),
            ("<think>a</think>\n\nIt is b.", &[thinking("a\n\nIt is b.")], "a", "It is b.", "", false),
            ("a</think> b", &[thinking("a b")], "a", "b", "", false),
            ("<think>a</think> ", &[thinking("a")], "a", "", "", false),
            ("<think>a", &[thinking("a")], "a", "", "", false),
            ("<think>a</thi", &[thinking("a</thi")], "a</thi", "", "", false),
            (" It is b. ", &[thinking("It is b. ")], "", "It is b.", "", false),
            ("<thi", &[thinking("<thi")], "", "<thi", "", false),
            (" \n", &[], "", "", "", false),
            ("", &[], "", "", "", false),
            ("<think>a</think><answer>b", &[thinking("a"), answering("b")], "a", "b", "", false),
            ("<think>a</think><answer>b</answer>.", &[thinking("a"), answering("b")], "a", "b", ".", false),
            (
                "<think><think>a</think></think><answer>b</answer>",
                &[thinking("<think>a</think>"), answering("b")],
                "<think>a</think>",
                "b",
                "",
                true,
            ),
            (
                "<think>a</think><answer><answer>b</answer></answer>",
                &[thinking("a"), answering("<answer>b")],
                "a",
                "<answer>b",
                "</answer>",
                false,
            ),
            ("b</answer>", &[thinking("b</answer>")], "", "b</answer>", "", false),
            ("<think></think><answer></answer>", &[], "", "", "", true),
        ];
        for (text, events, thinking, answer, trailing, well_formed) in cases {
            let (found, transcript) = run([*text]);
            assert_eq!(found, *events, "{text:?}");
            assert_eq!(
                transcript,
                Transcript {
                    thinking: (*thinking).to_owned(),
                    answer: (*answer).to_owned(),
                    well_formed: *well_formed,
                    trailing: (*trailing).to_owned(),
                    raw: (*text).to_owned(),
                }
            );
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => prop::sample::select(vec![
                "<think>", "</think>", "<answer>", "</answer>", "< think>", "</ think >",
                "<answer\n>", "<\t/answer>",
            ]).prop_map(str::to_owned),
            2 => prop::sample::select(vec!["<", "/", ">", "<thi", "</", "nk>", "answer", "< /"])
                .prop_map(str::to_owned),
            2 => "[ \n\t\u{a0}\u{1c}]{0,3}",
            3 => "[a-cé鳥🐦 <]{0,5}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Cuts a text at these places, moved back to where a character begins.
    fn cut(text: &str, places: &[prop::sample::Index]) -> Vec<String> {
        let mut ends: Vec<usize> = places
            .iter()
            .map(|place| text.floor_char_boundary(place.index(text.len() + 1)))
            .chain([text.len()])
            .collect();
        ends.sort_unstable();
        let mut start = 0;
        ends.into_iter().map(|end| text[mem::replace(&mut start, end)..end].to_owned()).collect()
    }

    fn without_space(text: &str) -> String {
        text.chars().filter(|letter| !is_space(*letter)).collect()
    }

    /// Whether `text` is `whole` with each of the four tags taken out at most once, in order.
    fn is_whole_without_tags(text: &str, whole: &str, tags: &[&str]) -> bool {
        if text == whole {
            return true;
        }
        let shared = text
            .chars()
            .zip(whole.chars())
            .take_while(|(left, right)| left == right)
            .map(|(letter, _)| letter.len_utf8())
            .sum::<usize>();
        let mut places: Vec<usize> = whole[..shared].char_indices().map(|(index, _)| index).collect();
        places.push(shared);
        places.into_iter().any(|place| {
            tags.iter().enumerate().any(|(index, tag)| {
                whole[place..]
                    .strip_prefix(tag)
                    .is_some_and(|rest| is_whole_without_tags(&text[place..], rest, &tags[index + 1..]))
            })
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn where_the_text_is_cut_changes_nothing(
            text in texts(),
            places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let pieces = cut(&text, &places);
            prop_assert_eq!(run(pieces.iter().map(String::as_str)), run([text.as_str()]));
        }

        #[test]
        fn letter_by_letter_changes_nothing(text in texts()) {
            let letters: Vec<String> = text.chars().map(String::from).collect();
            prop_assert_eq!(run(letters.iter().map(String::as_str)), run([text.as_str()]));
        }

        #[test]
        fn no_text_is_lost(text in texts()) {
            let transcript = run([text.as_str()]).1;
            let kept = without_space(
                &[&transcript.thinking, &transcript.answer, &transcript.trailing]
                    .map(String::as_str)
                    .concat(),
            );
            prop_assert_eq!(&transcript.raw, &text);
            prop_assert!(
                is_whole_without_tags(
                    &kept,
                    &without_space(&text),
                    &[THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE],
                ),
                "{:?}", transcript
            );
        }

        #[test]
        fn events_tell_what_the_transcript_keeps(text in texts()) {
            let (events, transcript) = run([text.as_str()]);
            let mut told = [String::new(), String::new()];
            for event in events {
                match event {
                    ReasoningEvent::Thinking { text } => told[0].push_str(&text),
                    ReasoningEvent::Answering { text } => told[1].push_str(&text),
                }
            }
            let kept = [transcript.thinking.as_str(), transcript.answer.as_str()];
            if told[1].is_empty() {
                prop_assert_eq!(without_space(&told[0]), without_space(&kept.concat()));
            } else {
                prop_assert_eq!(told.each_ref().map(|text| text.trim_matches(is_space)), kept);
            }
        }

        #[test]
        fn only_the_beginning_of_a_tag_is_withheld(text in "[a-c]{1,8}", more in texts()) {
            let mut stream = ReasoningStream::new();
            stream.push(&text);
            stream.push(&more);
            let withheld = stream.withheld.trim_start_matches(is_space);
            prop_assert!(
                withheld.is_empty()
                    || beginning(withheld, stream.place.tags()) == Beginning::CutTag,
                "{:?}", stream
            );
        }
    }
}
