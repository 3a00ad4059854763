//! Arrays: numbers, texts, lists and records.

use super::element::{Element, Elements, MATRIX, Order};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// Lists in lists in lists: no annotation goes deeper.
const DEEPEST: usize = 16;

/// What a variable holds, in MATLAB's order: the first axis varies fastest.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// Numbers of any type.
    Numbers(Vec<f64>),
    /// One text.
    Text(String),
    /// A cell array.
    List(Vec<Array>),
    /// A struct array.
    Records(Vec<BTreeMap<String, Array>>),
    /// Something that no annotation needs: objects, functions, sparse matrices.
    Other,
}

impl Array {
    /// Its numbers.
    ///
    /// # Errors
    /// It holds none.
    pub fn numbers(&self) -> Result<&[f64]> {
        match self {
            Self::Numbers(numbers) => Ok(numbers),
            other => bail!("expected numbers, found {}", other.kind()),
        }
    }

    /// Its one number.
    ///
    /// # Errors
    /// It holds none or several.
    pub fn number(&self) -> Result<f64> {
        match self.numbers()? {
            [number] => Ok(*number),
            numbers => bail!("expected one number, found {}", numbers.len()),
        }
    }

    /// Its text.
    ///
    /// # Errors
    /// It holds none.
    pub fn text(&self) -> Result<&str> {
        match self {
            Self::Text(text) => Ok(text),
            other => bail!("expected a text, found {}", other.kind()),
        }
    }

    /// Its list of texts.
    ///
    /// # Errors
    /// It holds none.
    pub fn texts(&self) -> Result<Vec<&str>> {
        match self {
            Self::List(list) => list.iter().map(Self::text).collect(),
            other => bail!("expected a list of texts, found {}", other.kind()),
        }
    }

    /// Its records.
    ///
    /// # Errors
    /// It holds none.
    pub fn records(&self) -> Result<&[BTreeMap<String, Array>]> {
        match self {
            Self::Records(records) => Ok(records),
            other => bail!("expected records, found {}", other.kind()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Records(_) => "records",
            Self::Other => "something else",
        }
    }
}

/// Name and content of a variable; none where an element is no variable.
pub fn variable(element: &Element<'_>, order: Order) -> Result<Option<(String, Array)>> {
    if element.kind == MATRIX { array(&element.data, order, 0).map(Some) } else { Ok(None) }
}

fn array(bytes: &[u8], order: Order, depth: usize) -> Result<(String, Array)> {
    if depth > DEEPEST {
        bail!("a variable holds lists in lists, more than {DEEPEST} deep");
    }
    let mut parts = Elements::new(bytes, order);
    // An empty field of a record may have no content at all.
    let Some(flags) = parts.next()? else { return Ok((String::new(), Array::Numbers(Vec::new()))) };
    let flags = order.u32(*flags.data.first_chunk().context("a variable has no type")?);
    let dims = numbers(&parts.expect()?, order)?;
    let name = String::from_utf8_lossy(&parts.expect()?.data).into_owned();
    let count = dims.iter().product::<f64>();
    if !(0.0..=bytes.len() as f64).contains(&count) {
        bail!("`{name}` says it has {count} entries in {} bytes", bytes.len());
    }
    let count = count as usize;
    let nested = |parts: &mut Elements<'_>| -> Result<Array> {
        let element = parts.expect()?;
        if element.kind != MATRIX {
            bail!("`{name}` has an entry of type {}", element.kind);
        }
        Ok(array(&element.data, order, depth + 1)?.1)
    };
    let array = match flags & 0xff {
        1 => Array::List((0..count).map(|_| nested(&mut parts)).collect::<Result<_>>()?),
        2 => {
            let width = numbers(&parts.expect()?, order)?.first().map_or(0, |width| *width as usize).max(1);
            let names: Vec<String> = parts
                .expect()?
                .data
                .chunks(width)
                .map(|name| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
                .collect();
            let mut record = || names.iter().map(|name| Ok((name.clone(), nested(&mut parts)?))).collect();
            Array::Records((0..count).map(|_| record()).collect::<Result<_>>()?)
        }
        4 => Array::Text(letters(&parts.expect()?, order)?),
        6..=15 => Array::Numbers(numbers(&parts.expect()?, order)?),
        _ => Array::Other,
    };
    Ok((name, array))
}

/// A text: bytes of UTF-8, or units of 16 bits.
fn letters(element: &Element<'_>, order: Order) -> Result<String> {
    Ok(match element.kind {
        1 | 2 | 16 => String::from_utf8_lossy(&element.data).into_owned(),
        4 | 17 => {
            let units: Vec<u16> = numbers(&Element { kind: 4, data: element.data.clone() }, order)?
                .into_iter()
                .map(|unit| unit as u16)
                .collect();
            String::from_utf16_lossy(&units)
        }
        other => bail!("a text is stored as type {other}"),
    })
}

/// Numbers of whatever type they are stored in.
fn numbers(element: &Element<'_>, order: Order) -> Result<Vec<f64>> {
    macro_rules! read {
        ($type:ty) => {
            element
                .data
                .chunks_exact(size_of::<$type>())
                .map(|bytes| {
                    let bytes = bytes.try_into().expect("chunks have this length");
                    let number = match order {
                        Order::Little => <$type>::from_le_bytes(bytes),
                        Order::Big => <$type>::from_be_bytes(bytes),
                    };
                    number as f64
                })
                .collect()
        };
    }
    Ok(match element.kind {
        1 => read!(i8),
        2 => read!(u8),
        3 => read!(i16),
        4 => read!(u16),
        5 => read!(i32),
        6 => read!(u32),
        7 => read!(f32),
        9 => read!(f64),
        12 => read!(i64),
        13 => read!(u64),
        other => bail!("numbers are stored as type {other}"),
    })
}
