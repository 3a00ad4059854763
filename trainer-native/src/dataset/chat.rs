//! Rows with a list of messages: the sharegpt and openai forms, which differ in names, and in that
//! openai's messages may come in parts.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/converter.py>. What newer
//! versions add to the system message of the openai form ("detailed thinking off") is another model's.

use super::{Cell, Entry, RowError, cell::kind, split_content, tools};
use fine_r1_core::prompt::{Content, Message, Part, Role};

/// A conversation, and where its image parts say their images are; those that do not say have the
/// images of the row, in order.
pub type Chat = (Vec<Message>, Vec<Option<String>>);

/// The conversation of a row.
///
/// # Errors
/// Messages are missing or malformed, are not spoken in turns, or do not end with an answer.
pub fn read(row: &Cell, entry: &Entry) -> Result<Chat, RowError> {
    let field = entry.column("messages").unwrap_or("messages");
    let Some(turns) = row.get(field).and_then(Cell::as_list) else {
        return Err(RowError::Messages { field: field.to_owned(), found: kind(row.get(field)) });
    };
    let mut messages: Vec<Message> = Vec::with_capacity(turns.len() + 1);
    let mut speakers: Vec<(usize, Speaker)> = Vec::with_capacity(turns.len());
    let mut addresses = Vec::new();
    for (turn, number) in turns.iter().zip(1..) {
        let speaker = read_speaker(turn, entry, number)?;
        let content = match speaker {
            Speaker::Caller => read_calls(turn, entry, number)?,
            Speaker::Tool => tools::response(read_content(turn, entry, number, &mut addresses)?),
            _ => read_content(turn, entry, number, &mut addresses)?,
        };
        match messages.last_mut() {
            // Several tools may answer at once.
            Some(message)
                if speaker == Speaker::Tool && speakers.last().is_some_and(|last| last.1 == speaker) =>
            {
                let before = std::mem::replace(&mut message.content, Content::Text(String::new()));
                message.content = tools::responses(before, content);
            }
            _ => {
                messages.push(Message { role: speaker.role(), content });
                speakers.push((number, speaker));
            }
        }
    }
    check_turns(&speakers, entry)?;
    // A system message in the conversation wins over the row's; LlamaFactory takes an empty one for none.
    let has_system = messages[0].role == Role::System;
    if has_system && messages[0].content == Content::Text(String::new()) {
        messages.remove(0);
    }
    if !has_system
        && let Some(system) = entry.column("system").and_then(|field| row.get(field)).and_then(Cell::as_text)
        && !system.is_empty()
    {
        messages.insert(0, Message::text(Role::System, system));
    }
    Ok((messages, addresses))
}

/// Who speaks in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Assistant,
    System,
    /// The assistant, to a tool.
    Caller,
    Tool,
}

impl Speaker {
    const ALL: [Self; 5] = [Self::User, Self::Assistant, Self::System, Self::Caller, Self::Tool];

    /// The word that a data set has for it.
    fn tag(self, entry: &Entry) -> &str {
        entry.tag(match self {
            Self::User => "user_tag",
            Self::Assistant => "assistant_tag",
            Self::System => "system_tag",
            Self::Caller => "function_tag",
            Self::Tool => "observation_tag",
        })
    }

    /// In whose place the model sees it.
    fn role(self) -> Role {
        match self {
            Self::User | Self::Tool => Role::User,
            Self::Assistant | Self::Caller => Role::Assistant,
            Self::System => Role::System,
        }
    }
}

fn read_speaker(turn: &Cell, entry: &Entry, number: usize) -> Result<Speaker, RowError> {
    let field = entry.tag("role_tag");
    let Some(word) = turn.get(field).and_then(Cell::as_text) else {
        return Err(RowError::Message { number, field: field.to_owned() });
    };
    let speaker = Speaker::ALL.into_iter().find(|speaker| speaker.tag(entry) == word);
    match speaker {
        Some(Speaker::Assistant) if tool_calls(turn).is_some() => Ok(Speaker::Caller),
        Some(speaker) => Ok(speaker),
        None => Err(RowError::Role {
            number,
            found: word.to_owned(),
            expected: Speaker::ALL.map(|speaker| speaker.tag(entry)).join(", "),
        }),
    }
}

/// OpenAI's list of calls in a message of the assistant.
fn tool_calls(turn: &Cell) -> Option<&[Cell]> {
    turn.get("tool_calls").and_then(Cell::as_list).filter(|calls| !calls.is_empty())
}

fn read_calls(turn: &Cell, entry: &Entry, number: usize) -> Result<Content, RowError> {
    let calls = match tool_calls(turn) {
        Some(calls) => tools::calls_of_list(calls),
        None => turn.get(entry.tag("content_tag")).and_then(Cell::as_text).and_then(tools::calls_of_text),
    };
    calls.map(Content::Text).ok_or(RowError::Call { number })
}

fn read_content(
    turn: &Cell,
    entry: &Entry,
    number: usize,
    addresses: &mut Vec<Option<String>>,
) -> Result<Content, RowError> {
    let field = entry.tag("content_tag");
    match turn.get(field) {
        Some(Cell::Text(text)) => {
            let content = split_content(text);
            if let Content::Parts(parts) = &content {
                addresses
                    .extend(parts.iter().filter(|part| matches!(part, Part::Image { .. })).map(|_| None));
            }
            Ok(content)
        }
        Some(Cell::List(parts)) => {
            let mut read = Vec::with_capacity(parts.len());
            for (index, part) in parts.iter().enumerate() {
                read.push(read_part(part, addresses).ok_or(RowError::Part { number, part: index + 1 })?);
            }
            Ok(Content::Parts(read))
        }
        _ => Err(RowError::Message { number, field: field.to_owned() }),
    }
}

/// `{"type": "text", "text": …}`, `{"type": "image_url", "image_url": {"url": …}}` or
/// `{"type": "image", "image": …}`.
fn read_part(part: &Cell, addresses: &mut Vec<Option<String>>) -> Option<Part> {
    let address = match part.get("type")?.as_text()? {
        "text" => return Some(Part::text(part.get("text")?.as_text()?)),
        "image_url" => match part.get("image_url")? {
            Cell::Text(url) => Some(url.clone()),
            inner => Some(inner.get("url")?.as_text()?.to_owned()),
        },
        "image" => {
            let named = ["image", "url", "path"].into_iter().find_map(|key| part.get(key));
            match named {
                Some(address) => Some(address.as_text()?.to_owned()),
                None => None,
            }
        }
        _ => return None,
    };
    addresses.push(address);
    Some(Part::unnamed_image())
}

/// After an optional system message, users and assistants alternate and an assistant ends.
fn check_turns(speakers: &[(usize, Speaker)], entry: &Entry) -> Result<(), RowError> {
    if speakers.iter().all(|(_, speaker)| speaker.role() != Role::Assistant) {
        return Err(RowError::Silent);
    }
    let first = usize::from(speakers[0].1 == Speaker::System);
    for (index, (number, speaker)) in speakers[first..].iter().enumerate() {
        let expected = [Speaker::User, Speaker::Assistant][index % 2];
        if speaker.role() != expected.role() {
            return Err(RowError::Turn {
                number: *number,
                found: speaker.tag(entry).to_owned(),
                expected: expected.tag(entry).to_owned(),
            });
        }
    }
    match speakers.last() {
        Some((_, speaker)) if speaker.role() == Role::Assistant => Ok(()),
        _ => Err(RowError::Unanswered),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::info::Form;
    use serde_json::{Value, json};

    fn read_json(row: Value, entry: &Entry) -> Result<Chat, RowError> {
        read(&row.into(), entry)
    }

    #[test]
    fn an_empty_system_message_is_none() {
        let entry = Entry::named(Form::Sharegpt, &[("messages", "conversations"), ("system", "rule")], &[]);
        let turns = json!([
            { "from": "system", "value": "" }, { "from": "human", "value": "Hello" }, { "from": "gpt", "value": "Hi" },
        ]);
        let (messages, _) =
            read_json(json!({ "conversations": turns, "rule": "Be kind." }), &entry).expect("a sound row");
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant]);
    }

    #[test]
    fn a_row_is_read_with_the_tags_of_its_data_set() {
        let tags = [
            ("role_tag", "role"),
            ("content_tag", "content"),
            ("user_tag", "user"),
            ("assistant_tag", "bot"),
        ];
        let entry = Entry::named(Form::Sharegpt, &[("messages", "turns"), ("system", "rule")], &tags);
        let row = json!({
            "turns": [{ "role": "user", "content": "<image>Hello" }, { "role": "bot", "content": "Hi" }],
            "rule": "Be kind.",
        });
        let (messages, addresses) = read_json(row, &entry).expect("a sound row");
        assert_eq!(
            messages,
            [
                Message::text(Role::System, "Be kind."),
                Message::user([Part::unnamed_image(), Part::text("Hello")]),
                Message::text(Role::Assistant, "Hi"),
            ]
        );
        assert_eq!(addresses, [None]);
    }

    #[test]
    fn openai_messages_come_in_parts() {
        let row = json!({ "messages": [
            { "role": "system", "content": "Be exact." },
            { "role": "user", "content": [
                { "type": "image_url", "image_url": { "url": "a.png" } },
                { "type": "image" },
                { "type": "text", "text": "Which?" },
            ] },
            { "role": "assistant", "content": "A dot." },
        ] });
        let (messages, addresses) =
            read_json(row, &Entry::named(Form::Openai, &[], &[])).expect("a sound row");
        assert_eq!(messages[0], Message::text(Role::System, "Be exact."));
        assert_eq!(
            messages[1],
            Message::user([Part::unnamed_image(), Part::unnamed_image(), Part::text("Which?")])
        );
        assert_eq!(addresses, [Some("a.png".to_owned()), None]);
    }

    #[test]
    fn tools_are_called_and_answer() {
        let call = r#"{"name": "f", "arguments": {}}"#;
        let row = json!({ "conversations": [
            { "from": "human", "value": "What is it?" },
            { "from": "function_call", "value": call },
            { "from": "observation", "value": "<image>7" },
            { "from": "gpt", "value": "Seven." },
        ] });
        let (messages, addresses) =
            read_json(row, &Entry::named(Form::Sharegpt, &[], &[])).expect("a sound row");
        assert_eq!(messages[1], Message::text(Role::Assistant, format!("<tool_call>\n{call}\n</tool_call>")));
        let parts =
            [Part::text("<tool_response>\n"), Part::unnamed_image(), Part::text("7\n</tool_response>")];
        assert_eq!((&messages[2], addresses), (&Message::user(parts), vec![None]));

        let row = json!({ "messages": [
            { "role": "user", "content": "What are they?" },
            { "role": "assistant", "content": null, "tool_calls": [
                { "type": "function", "function": { "name": "f", "arguments": "{}" } },
                { "type": "function", "function": { "name": "f", "arguments": "{}" } },
            ] },
            { "role": "tool", "content": "7" },
            { "role": "tool", "content": "8" },
            { "role": "assistant", "content": "Seven and eight." },
        ] });
        let (messages, _) = read_json(row, &Entry::named(Form::Openai, &[], &[])).expect("a sound row");
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant].repeat(2));
        let answered = "<tool_response>\n7\n</tool_response>\n<tool_response>\n8\n</tool_response>";
        assert_eq!(messages[2], Message::text(Role::User, answered));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        let says = |from: &str| json!({ "from": from, "value": "x" });
        for (row, expected) in [
            (json!({}), "`conversations` is missing"),
            (json!({ "conversations": "x" }), "`conversations` is a text"),
            (json!({ "conversations": [{ "from": "gpt" }] }), "message 1 has no `value`"),
            (json!({ "conversations": [7] }), "message 1 has no `from`"),
            (json!({ "conversations": [says("pilot")] }), "unknown role `pilot`"),
            (json!({ "conversations": [says("human")] }), "no assistant message"),
            (json!({ "conversations": [] }), "no assistant message"),
            (json!({ "conversations": [says("gpt"), says("human")] }), "message 1 is by `gpt`"),
            (json!({ "conversations": [says("human"), says("human"), says("gpt")] }), "message 2 is by"),
            (json!({ "conversations": [says("human"), says("gpt"), says("human")] }), "the last message"),
            (json!({ "conversations": [says("human"), says("function_call")] }), "message 2 calls no tool"),
            (
                json!({ "conversations": [says("human"), says("observation"), says("gpt")] }),
                "message 2 is by `obs",
            ),
            (
                json!({ "conversations": [{ "from": "human", "value": [{ "type": "video" }] }] }),
                "part 1 of message 1",
            ),
        ] {
            let error = read_json(row.clone(), &Entry::named(Form::Sharegpt, &[], &[])).unwrap_err();
            assert!(error.to_string().contains(expected), "{row}: {error}");
            assert!(!error.hint().is_empty());
        }
    }
}
