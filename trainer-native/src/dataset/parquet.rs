//! Rows of a Parquet file, as Hugging Face writes data sets with images inside.
//!
//! The format: <https://github.com/apache/parquet-format>. Read row by row, without Arrow.

use super::Cell;
use anyhow::{Context, Result};
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use parquet::record::reader::RowIter;
use serde_json::Number;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// All rows, in their order.
///
/// # Errors
/// The file cannot be read, is no Parquet, or is compressed in a way that this program does not know.
pub fn read(path: &Path) -> Result<Vec<Cell>> {
    let file =
        File::open(path).with_context(|| format!("cannot read {}\nhint: check the path", path.display()))?;
    let damaged = || {
        format!(
            "{} cannot be read as Parquet\nhint: copy the file again, or write it anew with snappy compression",
            path.display()
        )
    };
    let reader = SerializedFileReader::new(file).with_context(damaged)?;
    let rows = RowIter::from_file_into(Box::new(reader));
    rows.map(|row| {
        let row = row.with_context(damaged)?;
        Ok(Cell::from(&Field::Group(row)))
    })
    .collect()
}

impl From<&Field> for Cell {
    fn from(field: &Field) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Bool(flag) => Self::Bool(*flag),
            Field::Str(text) => Self::Text(text.clone()),
            Field::Bytes(bytes) => Self::Bytes(Arc::from(bytes.data())),
            Field::ListInternal(list) => Self::List(list.elements().iter().map(Self::from).collect()),
            Field::Group(row) => Self::Object(
                row.get_column_iter().map(|(name, field)| (name.clone(), field.into())).collect(),
            ),
            Field::Byte(number) => Self::Number((*number).into()),
            Field::Short(number) => Self::Number((*number).into()),
            Field::Int(number) => Self::Number((*number).into()),
            Field::Long(number) => Self::Number((*number).into()),
            Field::UByte(number) => Self::Number((*number).into()),
            Field::UShort(number) => Self::Number((*number).into()),
            Field::UInt(number) => Self::Number((*number).into()),
            Field::ULong(number) => Self::Number((*number).into()),
            Field::Float16(number) => float(&number.to_string()),
            Field::Float(number) => float(&number.to_string()),
            Field::Double(number) => float(&number.to_string()),
            Field::MapInternal(map) => {
                let entries = map.entries().iter();
                Self::Object(entries.map(|(key, value)| (key.to_string(), value.into())).collect())
            }
            Field::Decimal(_)
            | Field::Date(_)
            | Field::TimeMillis(_)
            | Field::TimeMicros(_)
            | Field::TimestampMillis(_)
            | Field::TimestampMicros(_) => Self::Text(field.to_string()),
        }
    }
}

/// The number with the fewest digits that tell it from its neighbours of the same width; nothing where JSON has no
/// such number.
fn float(digits: &str) -> Cell {
    digits.parse::<Number>().map_or(Cell::Null, Cell::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let written = |field: Field| Cell::from(&field).written();
        assert_eq!(written(Field::Int(-5)).as_deref(), Some("-5"));
        assert_eq!(written(Field::ULong(u64::MAX)).as_deref(), Some("18446744073709551615"));
        assert_eq!(written(Field::Float(0.1)).as_deref(), Some("0.1"));
        assert_eq!(written(Field::Date(0)).as_deref(), Some("1970-01-01"));
        assert_eq!(written(Field::Double(5.0)).as_deref(), Some("5"));
        assert_eq!(Cell::from(&Field::Double(f64::NAN)), Cell::Null);
    }
}
