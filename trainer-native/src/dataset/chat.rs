//! Rows with a list of messages: the sharegpt and openai forms, which differ in names, and in that
//! openai's messages may come in parts.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/converter.py>. What newer
//! versions add to the system message of the openai form ("detailed thinking off") is another model's.

use super::{Cell, Entry, RowError, cell::kind, split_content};
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
    let mut messages = Vec::with_capacity(turns.len() + 1);
    let mut addresses = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let role = read_role(turn, entry, index + 1)?;
        let content = read_content(turn, entry, index + 1, &mut addresses)?;
        messages.push(Message { role, content });
    }
    check_turns(&messages, entry)?;
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

fn read_role(turn: &Cell, entry: &Entry, number: usize) -> Result<Role, RowError> {
    let field = entry.tag("role_tag");
    let Some(word) = turn.get(field).and_then(Cell::as_text) else {
        return Err(RowError::Message { number, field: field.to_owned() });
    };
    if [entry.tag("observation_tag"), entry.tag("function_tag")].contains(&word)
        || turn.get("tool_calls").and_then(Cell::as_list).is_some_and(|calls| !calls.is_empty())
    {
        return Err(RowError::Unsupported { what: "calls of tools" });
    }
    let roles = [
        (entry.tag("user_tag"), Role::User),
        (entry.tag("assistant_tag"), Role::Assistant),
        (entry.tag("system_tag"), Role::System),
    ];
    roles.iter().find(|(tag, _)| *tag == word).map(|(_, role)| *role).ok_or_else(|| RowError::Role {
        number,
        found: word.to_owned(),
        expected: roles.map(|(tag, _)| tag).join(", "),
    })
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
fn check_turns(messages: &[Message], entry: &Entry) -> Result<(), RowError> {
    if messages.iter().all(|message| message.role != Role::Assistant) {
        return Err(RowError::Silent);
    }
    let tag = |role: Role| match role {
        Role::User => entry.tag("user_tag"),
        Role::Assistant => entry.tag("assistant_tag"),
        Role::System => entry.tag("system_tag"),
    };
    let first = usize::from(messages[0].role == Role::System);
    for (index, message) in messages.iter().enumerate().skip(first) {
        let expected = if (index - first) % 2 == 0 { Role::User } else { Role::Assistant };
        if message.role != expected {
            return Err(RowError::Turn {
                number: index + 1,
                found: tag(message.role).to_owned(),
                expected: tag(expected).to_owned(),
            });
        }
    }
    match messages.last() {
        Some(Message { role: Role::Assistant, .. }) => Ok(()),
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
            (json!({ "conversations": [says("human"), says("function_call")] }), "calls of tools"),
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
