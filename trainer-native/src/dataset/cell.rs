//! A value in a row of a data set, wherever the row comes from.

use indexmap::IndexMap;
use serde_json::{Number, Value};
use std::sync::Arc;

/// What JSON and Parquet both come to.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// Bytes, which only Parquet has: an image file.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Vec<Cell>),
    /// Fields by name, in their order.
    Object(IndexMap<String, Cell>),
}

impl Cell {
    /// A field of an object; `None` where it is missing or null.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(field).filter(|cell| **cell != Self::Null),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text as it is, a number in digits.
    #[must_use]
    pub fn written(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(cells) => Some(cells),
            _ => None,
        }
    }

    /// As JSON; `None` where there are bytes in it.
    #[must_use]
    pub fn to_json(&self) -> Option<Value> {
        Some(match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::Bytes(_) => return None,
            Self::List(cells) => Value::Array(cells.iter().map(Self::to_json).collect::<Option<_>>()?),
            Self::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(name, cell)| Some((name.clone(), cell.to_json()?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }

    /// What it is, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a truth value",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// What stands somewhere in a row, in words.
#[must_use]
pub fn kind(cell: Option<&Cell>) -> String {
    cell.map_or("missing", Cell::kind).to_owned()
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(flag),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(values) => Self::List(values.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                Self::Object(fields.into_iter().map(|(name, value)| (name, Self::from(value))).collect())
            }
        }
    }
}
