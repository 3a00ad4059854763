//! Rows with `instruction`, `input` and `output`: the alpaca form.
//!
//! <https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/converter.py>

use super::{Cell, Entry, RowError, cell::kind, split_content};
use fine_r1_core::prompt::{Message, Role};

/// The conversation of a row: system, history, question and answer.
///
/// # Errors
/// A field is no text, or there is no answer.
pub fn read(row: &Cell, entry: &Entry) -> Result<Vec<Message>, RowError> {
    let text = |column: &'static str| -> Result<Option<&str>, RowError> {
        let Some(field) = entry.column(column) else { return Ok(None) };
        match row.get(field) {
            None => Ok(None),
            Some(Cell::Text(text)) => Ok(Some(text)),
            other => Err(RowError::Text { field: field.to_owned(), found: kind(other) }),
        }
    };
    let mut messages = Vec::new();
    if let Some(system) = text("system")?.filter(|system| !system.is_empty()) {
        messages.push(Message::text(Role::System, system));
    }
    if let Some(field) = entry.column("history")
        && let Some(history) = row.get(field)
    {
        let Some(rounds) = history.as_list() else {
            return Err(RowError::Text { field: field.to_owned(), found: history.kind().to_owned() });
        };
        for (index, round) in rounds.iter().enumerate() {
            let Some([Cell::Text(question), Cell::Text(answer)]) = round.as_list() else {
                return Err(RowError::Round { field: field.to_owned(), number: index + 1 });
            };
            messages.push(Message { role: Role::User, content: split_content(question) });
            messages.push(Message { role: Role::Assistant, content: split_content(answer) });
        }
    }
    let halves = [text("prompt")?, text("query")?];
    let question: Vec<&str> = halves.into_iter().flatten().filter(|half| !half.is_empty()).collect();
    let answer = text("response")?.ok_or(RowError::Silent)?;
    messages.push(Message { role: Role::User, content: split_content(&question.join("\n")) });
    messages.push(Message { role: Role::Assistant, content: split_content(answer) });
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::info::Form;
    use serde_json::{Value, json};

    fn read_json(row: Value, columns: &[(&str, &str)]) -> Result<Vec<Message>, RowError> {
        read(&row.into(), &Entry::named(Form::Alpaca, columns, &[]))
    }

    #[test]
    fn halves_of_a_question_are_joined() {
        let row = json!({ "instruction": "Name it.", "input": "A robin.", "output": "Robin", "system": "x" });
        let messages = read_json(row.clone(), &[]).expect("a sound row");
        assert_eq!(
            messages,
            [Message::text(Role::User, "Name it.\nA robin."), Message::text(Role::Assistant, "Robin")]
        );
        let named = read_json(row, &[("prompt", "instruction"), ("system", "system")]).expect("a sound row");
        assert_eq!(named[0], Message::text(Role::System, "x"));
        assert_eq!(named[1], Message::text(Role::User, "Name it."), "an unnamed half is left out");
    }

    #[test]
    fn a_history_comes_before_the_question() {
        let row = json!({ "instruction": "And now?", "output": "Yes", "past": [["a", "b"], ["c", "d"]] });
        let messages = read_json(row, &[("history", "past")]).expect("a sound row");
        let roles: Vec<Role> = messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::User, Role::Assistant].repeat(3));
        assert_eq!(messages[3], Message::text(Role::Assistant, "d"));
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        for (row, expected) in [
            (json!({ "instruction": 3, "output": "x" }), "`instruction` is a number"),
            (json!({ "instruction": "x" }), "no assistant message"),
            (json!({ "instruction": "x", "output": ["y"] }), "`output` is a list"),
            (json!({ "instruction": "x", "output": "y", "past": "z" }), "`past` is a text"),
            (json!({ "instruction": "x", "output": "y", "past": [["z"]] }), "round 1 of `past`"),
        ] {
            let error = read_json(row.clone(), &[("history", "past")]).unwrap_err();
            assert!(error.to_string().contains(expected), "{row}: {error}");
            assert!(!error.hint().is_empty());
        }
    }
}
