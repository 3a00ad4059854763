//! The rows of a data set's files, each with the place where it stands.

use super::{Cell, RowError, parquet};
use crate::checkpoint::read_text;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Deserializer, Value};
use std::fs;
use std::path::{Path, PathBuf};

/// A row before anybody knows what it means.
#[derive(Debug)]
pub struct RawRow {
    /// File, line and number of the row.
    pub source: String,
    /// Its fields.
    pub cell: Result<Cell, RowError>,
}

/// Reads a file of rows, or all files of a folder by name: JSON lists, JSON lines and Parquet.
///
/// # Errors
/// A file is missing, damaged as a whole, or of another kind.
pub fn read_rows(path: &Path) -> Result<Vec<RawRow>> {
    let mut rows = Vec::new();
    for file in files(path)? {
        rows.extend(read_file(&file)?);
    }
    Ok(rows)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        let is_hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if file.is_file() && !is_hidden {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<RawRow>> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => {
            let rows = parquet::read(path)?.into_iter().enumerate();
            Ok(rows
                .map(|(index, cell)| RawRow {
                    source: format!("{} row {}", path.display(), index + 1),
                    cell: Ok(cell),
                })
                .collect())
        }
        Some("json" | "jsonl") => {
            let text = read_text(path)?;
            let text = text.trim_start_matches('\u{feff}');
            // A file of lines is often called .json.
            if text.trim_start().starts_with('[') {
                read_list(path, text)
            } else {
                Ok(read_lines(path, text))
            }
        }
        _ => bail!(
            "{} is no file of rows\nhint: rows are read from .json, .jsonl and .parquet; write them in one of these",
            path.display()
        ),
    }
}

/// A list, value by value, so that the line of every row is known.
fn read_list(path: &Path, text: &str) -> Result<Vec<RawRow>> {
    let damaged = |line: usize, reason: &str| {
        anyhow!(
            "{}:{line}: the list of rows ends here: {reason}\nhint: correct the line, or copy the file again",
            path.display()
        )
    };
    let mut rows = Vec::new();
    let mut lines = Lines { text, counted: 0, line: 1 };
    let skip_space = |at: usize| at + (text.len() - at - text[at..].trim_start().len());
    // Past the opening bracket.
    let mut at = skip_space(skip_space(0) + 1);
    if text[at..].starts_with(']') {
        return Ok(rows);
    }
    loop {
        let line = lines.of(at);
        let mut values = Deserializer::from_str(&text[at..]).into_iter::<Value>();
        let value = match values.next() {
            Some(Ok(value)) => value,
            Some(Err(error)) => return Err(damaged(line + error.line().max(1) - 1, &reason_of(&error))),
            None => return Err(damaged(line, "a row is missing")),
        };
        rows.push(RawRow { source: source(path, line, rows.len() + 1), cell: Ok(value.into()) });
        let end = skip_space(at + values.byte_offset());
        match text[end..].chars().next() {
            Some(',') => at = skip_space(end + 1),
            Some(']') if text[end + 1..].trim().is_empty() => return Ok(rows),
            Some(']') => return Err(damaged(lines.of(end), "something follows the list")),
            _ => return Err(damaged(lines.of(end.min(text.len())), "expected a comma or the list's end")),
        }
    }
}

fn read_lines(path: &Path, text: &str) -> Vec<RawRow> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .enumerate()
        .map(|(row, (index, line))| RawRow {
            source: source(path, index + 1, row + 1),
            cell: serde_json::from_str::<Value>(line)
                .map(Cell::from)
                .map_err(|error| RowError::Syntax { reason: reason_of(&error) }),
        })
        .collect()
}

fn source(path: &Path, line: usize, row: usize) -> String {
    format!("{}:{line} (row {row})", path.display())
}

/// The parser's reason without its line, which counts from where the row begins.
fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Counts lines on the way through a text.
struct Lines<'text> {
    text: &'text str,
    counted: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line, from 1, of a place that is not before the last one asked for.
    fn of(&mut self, at: usize) -> usize {
        self.line += self.text[self.counted..at].matches('\n').count();
        self.counted = at;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(rows: &[RawRow]) -> Vec<&str> {
        rows.iter().map(|row| row.source.as_str()).collect()
    }

    #[test]
    fn rows_of_a_list_know_their_lines() {
        let path = Path::new("rows.json");
        let text = "\n[\n  {\"a\": [1,\n 2]}, 3,\n\n {}\n]\n";
        let rows = read_list(path, text).expect("a list");
        assert_eq!(sources(&rows), ["rows.json:3 (row 1)", "rows.json:4 (row 2)", "rows.json:6 (row 3)"]);
        assert_eq!(rows[1].cell, Ok(Cell::Number(3.into())));
        assert!(read_list(path, " [ ] ").expect("a list").is_empty());
    }

    #[test]
    fn a_damaged_list_says_where() {
        for (text, expected) in [
            ("[\n{\"a\":\n", "rows.json:3"),
            ("[\n{}\n{}]", "rows.json:3"),
            ("[\n{},\n]", "rows.json:3"),
            ("[{}]\nx", "rows.json:1"),
            ("[", "rows.json:1"),
            ("[\n{}", "rows.json:2"),
        ] {
            let error = read_list(Path::new("rows.json"), text).unwrap_err().to_string();
            assert!(error.starts_with(expected) && error.contains("hint: "), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_damaged_line_is_a_problem_of_its_row() {
        let rows = read_lines(Path::new("rows.jsonl"), "{}\n\n{\"a\n{}\n");
        assert_eq!(sources(&rows), ["rows.jsonl:1 (row 1)", "rows.jsonl:3 (row 2)", "rows.jsonl:4 (row 3)"]);
        assert!(rows[1].cell.as_ref().unwrap_err().to_string().contains("EOF while parsing"));
        assert!(rows[2].cell.is_ok());
    }
}
