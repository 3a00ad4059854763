//! How Python writes values that go into a prompt: `True`, `None`, `['a', 'b']` where a template puts them
//! into its text, `["a", "b"]` where they are JSON.
//!
//! `repr` of <https://docs.python.org/3/library/functions.html#repr>, which jinja2 applies to what lists and
//! dictionaries hold; `json.dumps` of <https://docs.python.org/3/library/json.html#json.dumps>.

use minijinja::value::ValueKind;
use minijinja::{Error, Output, State, Value, escape_formatter};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::fmt::Write;
use std::io;

/// `json.dumps(json, ensure_ascii=False)`.
#[must_use]
pub fn dumps(json: &serde_json::Value) -> String {
    dumps_with(json, Spaced)
}

/// The same in another layout.
pub fn dumps_with(json: &serde_json::Value, formatter: impl Formatter) -> String {
    let mut bytes = Vec::new();
    let is_written = json.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
    is_written.expect("memory takes what is written, and keys of JSON are texts");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// The separators of Python's `json.dumps`: `", "` and `": "`.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.begin_array_value(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Writes `{{ value }}`.
pub fn write_value(out: &mut Output, state: &State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map => {
            let mut text = String::new();
            write_repr(&mut text, value)?;
            Ok(out.write_str(&text)?)
        }
        _ => escape_formatter(out, state, value),
    }
}

fn write_repr(text: &mut String, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool => text.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::None => text.push_str("None"),
        ValueKind::String => write_quoted(text, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            text.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_repr(text, &item)?;
            }
            text.push(']');
        }
        ValueKind::Map => {
            text.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                text.push_str(if index == 0 { "" } else { ", " });
                write_repr(text, &key)?;
                text.push_str(": ");
                write_repr(text, &value.get_item(&key)?)?;
            }
            text.push('}');
        }
        _ => write!(text, "{value}")?,
    }
    Ok(())
}

/// In single quotes, unless that would need escapes that double quotes spare.
fn write_quoted(text: &mut String, string: &str) {
    let quote = if string.contains('\'') && !string.contains('"') { '"' } else { '\'' };
    text.push(quote);
    for letter in string.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            letter if letter == quote => text.extend(['\\', letter]),
            letter if letter.is_ascii_control() => text.push_str(&format!("\\x{:02x}", letter as u32)),
            letter => text.push(letter),
        }
    }
    text.push(quote);
}

#[cfg(test)]
mod tests {
    use crate::prompt::{ChatTemplate, RenderOptions};

    #[test]
    fn lists_and_constants_look_as_in_python() {
        for (source, expected) in [
            (
                "{{ ['a', \"b'c\", 'd\"e', 1, 1.5, none, true] }}",
                r#"['a', "b'c", 'd"e', 1, 1.5, None, True]"#,
            ),
            ("{{ {'k': ['x\\n']} }}", r"{'k': ['x\n']}"),
            ("{{ true }} {{ none }} {{ 'plain' }} {{ missing }}", "True None plain "),
        ] {
            let template = ChatTemplate::new(source.to_owned()).expect("a template");
            assert_eq!(
                template.render(&[], &RenderOptions::default()).expect("a text"),
                expected,
                "{source}"
            );
        }
    }
}
