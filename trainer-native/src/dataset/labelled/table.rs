//! Tables: CSV with a header, or a JSON object a line.

use super::{Asked, Part};
use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::Path;

/// Fields that hold the path of a picture; the first that is there counts.
const IMAGE_FIELDS: [&str; 5] = ["image", "image_path", "path", "file_name", "file"];
/// Fields that hold the label.
const LABEL_FIELDS: [&str; 5] = ["label", "ground_truth", "class", "class_name", "name"];
/// The field that holds what is asked about the picture.
const QUESTION_FIELD: &str = "question";
/// The field that says which part a row belongs to; without it a row belongs to every part.
const PART_FIELD: &str = "split";

/// Reads a table with a header.
///
/// # Errors
/// A column is missing or a row malformed; the message names the line.
pub fn read_csv(path: &Path, part: Part) -> Result<Vec<Asked>> {
    let text = read_text(path)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let about = || format!("{} is no table\nhint: save it as CSV with commas and a header", path.display());
    let header: Vec<String> =
        reader.headers().with_context(about)?.iter().map(|name| name.to_lowercase()).collect();
    let column = |names: &[&str]| names.iter().find_map(|name| header.iter().position(|found| found == name));
    let (Some(image), Some(label)) = (column(&IMAGE_FIELDS), column(&LABEL_FIELDS)) else {
        bail!(
            "{}: the header is `{}`\nhint: one column is called `image` or `image_path`, one `label`",
            path.display(),
            header.join(",")
        );
    };
    let (split, question) = (column(&[PART_FIELD]), column(&[QUESTION_FIELD]));
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.with_context(about)?;
        let field = |index: usize| record.get(index).unwrap_or_default().to_owned();
        let line = record.position().map_or(0, csv::Position::line);
        if belongs(part, split.map(field).as_deref()).with_context(|| format!("{}:{line}", path.display()))? {
            rows.push(((field(image), field(label)), question.map(field).filter(|asked| !asked.is_empty())));
        }
    }
    Ok(rows)
}

/// Reads an object a line.
///
/// # Errors
/// A field is missing or a line malformed; the message names the line.
pub fn read_jsonl(path: &Path, part: Part) -> Result<Vec<Asked>> {
    let mut rows = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("{}:{}", path.display(), index + 1);
        let row: Map<String, Value> = serde_json::from_str(line).with_context(|| {
            format!(
                "{} is no JSON object\nhint: a line looks like {{\"image\": \"a/1.jpg\", \"label\": \"A\"}}",
                at()
            )
        })?;
        let field =
            |names: &[&str]| names.iter().find_map(|name| row.get(*name)?.as_str().map(str::to_owned));
        let (Some(image), Some(label)) = (field(&IMAGE_FIELDS), field(&LABEL_FIELDS)) else {
            bail!(
                "{} has no `image` or no `label`\nhint: both are texts; `image_path` and `ground_truth` do too",
                at()
            );
        };
        if belongs(part, field(&[PART_FIELD]).as_deref()).with_context(at)? {
            rows.push(((image, label), field(&[QUESTION_FIELD]).filter(|asked| !asked.is_empty())));
        }
    }
    Ok(rows)
}

fn belongs(part: Part, split: Option<&str>) -> Result<bool> {
    Ok(match split.map(str::to_lowercase).as_deref() {
        None | Some("") => true,
        Some("train" | "trainval" | "val" | "valid" | "validation") => part.admits(false),
        Some("test" | "test_seen" | "test_unseen") => part.admits(true),
        Some(other) => bail!("the split `{other}` is unknown\nhint: it is train, val or test"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;
    use std::fs;

    #[test]
    fn both_kinds_of_table_say_the_same() {
        let folder = Folder::new();
        let (csv, jsonl) = (folder.path().join("rows.csv"), folder.path().join("rows.jsonl"));
        let lines = [
            "Label,image_path,split,question",
            "\"A, B\",x/1.jpg,train,",
            "C,2.jpg,test_seen,",
            "D,3.jpg,,Who?",
        ];
        fs::write(&csv, lines.join("\n")).unwrap();
        let lines = [
            r#"{"ground_truth": "A, B", "image_path": "x/1.jpg", "split": "val"}"#,
            "",
            r#"{"label": "C", "image": "2.jpg", "split": "test_seen"}"#,
            r#"{"label": "D", "image": "3.jpg", "question": "Who?"}"#,
        ];
        fs::write(&jsonl, lines.join("\n")).unwrap();
        for (part, expected) in [
            (Part::Train, vec!["A, B", "D"]),
            (Part::Test, vec!["C", "D"]),
            (Part::All, vec!["A, B", "C", "D"]),
        ] {
            for rows in [read_csv(&csv, part).unwrap(), read_jsonl(&jsonl, part).unwrap()] {
                assert_eq!(rows.iter().map(|((_, label), _)| label.as_str()).collect::<Vec<_>>(), expected);
                for ((_, label), question) in &rows {
                    assert_eq!(question.as_deref(), (label == "D").then_some("Who?"));
                }
                assert!(rows.iter().all(|((image, _), _)| image.ends_with(".jpg")));
            }
        }
    }

    #[test]
    fn a_bad_row_is_named_by_its_line() {
        let folder = Folder::new();
        let path = folder.path().join("rows");
        for (text, named) in [
            ("{\"image\": \"a\"}", ":1"),
            ("\n[]", ":2"),
            ("{\"image\":\"a\",\"label\":\"b\",\"split\":\"x\"}", "x"),
        ] {
            fs::write(&path, text).unwrap();
            let message = format!("{:#}", read_jsonl(&path, Part::All).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
        for (text, named) in
            [("a,b\n1,2\n", "a,b"), ("image,label\n1\n", "rows"), ("image,label,split\na,b,c\n", ":2")]
        {
            fs::write(&path, text).unwrap();
            let message = format!("{:#}", read_csv(&path, Part::All).unwrap_err());
            assert!(message.contains(named), "{message}");
        }
    }
}
