//! Rows of a Parquet file, as Hugging Face writes data sets with images inside.
//!
//! The format: <https://github.com/apache/parquet-format>. Read row by row, without Arrow.

use super::Cell;
use anyhow::{Context, Result};
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use parquet::record::reader::RowIter;
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
            _ => Self::Number,
        }
    }
}
