//! Questions to be answered, as EasyR1 and the released TAPO keep them: a problem, an answer, pictures.
//!
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/utils/dataset.py>. The columns of the two other pictures
//! are called `image_noisy` (another picture of the same class) and `image_aug` (a picture of another class)
//! there, names that are inherited and confuse: <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/issues/4>.
//! Here `positive` and `negative` are read as well.

mod files;
mod needed;
mod source;

pub use needed::require_pictures;
pub use source::Source;

use crate::dataset::{Cell, ImageSource, RawRow, RowError, read_images, read_rows, split_content};
use anyhow::{Context, Result, anyhow, bail, ensure};
use files::files_of;
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, INSTRUCTION};
use fine_r1_core::prompt::{Content, Message, Part, Role};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Stands where a picture goes in a problem.
const IMAGE_TAG: &str = "<image>";
/// Stands where the problem goes in a format.
const CONTENT: &str = "{content}";
/// Bytes that a path may have; a text of more is a picture.
const LONGEST_PATH: usize = 4096;

const PROBLEM_COLUMNS: [&str; 3] = ["problem", "prompt", "question"];
const ANSWER_COLUMNS: [&str; 3] = ["answer", "ground_truth", "label"];
const IMAGE_COLUMNS: [&str; 3] = ["images", "image", "image_path"];
const POSITIVE_COLUMNS: [&str; 2] = ["image_noisy", "positive"];
const NEGATIVE_COLUMNS: [&str; 3] = ["image_aug", "images_aug", "negative"];

/// The `[data]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Files of rows (`.jsonl`, `.json`, `.parquet`), or folders of them. In a folder `.json` files count where there
    /// is nothing else.
    pub train_files: Vec<PathBuf>,
    /// Folder that pictures' paths are relative to; each file's own where empty.
    pub image_dir: PathBuf,
    /// Column of the problem; where empty, the first of `problem`, `prompt`, `question`.
    pub prompt_key: String,
    /// Column of the true answer; where empty, the first of `answer`, `ground_truth`, `label`.
    pub answer_key: String,
    /// Column of the pictures; where empty, the first of `images`, `image`, `image_path`.
    pub image_key: String,
    /// Column of pictures of the same class; where empty, the first of `image_noisy`, `positive`.
    pub positive_key: String,
    /// Column of pictures of another class; where empty, the first of `image_aug`, `images_aug`, `negative`.
    pub negative_key: String,
    /// Asked where a row has no problem of its own.
    pub question: String,
    /// What the user says: `{content}` stands for the problem.
    pub format_prompt: String,
    /// What the system says; the chat template's own words where empty.
    pub system_prompt: String,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            train_files: Vec::new(),
            image_dir: PathBuf::new(),
            prompt_key: String::new(),
            answer_key: String::new(),
            image_key: String::new(),
            positive_key: String::new(),
            negative_key: String::new(),
            question: DEFAULT_QUESTION.to_owned(),
            format_prompt: format!("{CONTENT}\n{INSTRUCTION}"),
            system_prompt: String::new(),
        }
    }
}

/// One row.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where it stands, for messages.
    pub source: String,
    /// All columns, for rewards; null stands for pictures inside the row.
    pub columns: Map<String, Value>,
    /// What should be answered.
    pub truth: String,
    /// What is said to the model.
    pub messages: Vec<Message>,
    /// The pictures that are asked about.
    pub images: Vec<Source>,
    /// Pictures of the same class.
    pub positive: Option<Vec<Source>>,
    /// Pictures of another class.
    pub negative: Option<Vec<Source>>,
}

/// Reads all rows of a recipe; every picture on disk must be there.
///
/// # Errors
/// A file is missing or malformed, or a row lacks what it needs; the message names the row.
pub fn read_questions(settings: &DataSettings) -> Result<Vec<Question>> {
    ensure!(
        settings.format_prompt.contains(CONTENT),
        "data.format_prompt has no `{CONTENT}`\nhint: {CONTENT} stands where the problem goes"
    );
    let mut questions = Vec::new();
    for path in settings.train_files.iter().map(|path| files_of(path)).collect::<Result<Vec<_>>>()?.concat() {
        let root = match settings.image_dir.as_os_str().is_empty() {
            true => path.parent().unwrap_or(Path::new("")).to_path_buf(),
            false => settings.image_dir.clone(),
        };
        for RawRow { source, cell } in read_rows(&path)? {
            let row = cell.and_then(|row| match row {
                Cell::Object(_) => Ok(row),
                other => Err(RowError::Shape { found: other.kind().to_owned() }),
            });
            let question = row.map_err(explain).and_then(|row| read_question(&row, &root, settings, &source));
            questions.push(question.context(source)?);
        }
    }
    ensure!(
        !questions.is_empty(),
        "there are no rows to learn from\nhint: name files of rows in data.train_files"
    );
    Ok(questions)
}

fn read_question(row: &Cell, root: &Path, settings: &DataSettings, source: &str) -> Result<Question> {
    if let Some(Cell::List(videos)) = row.get("videos")
        && !videos.is_empty()
    {
        return Err(explain(RowError::Unsupported { what: "videos" }));
    }
    let problem = read_problem(row, settings)?;
    let truth = read_answer(row, settings)?;
    let pictures = |key: &str, names: &[&str]| {
        column(row, key, names).map(|(name, _)| read_pictures(row, name, root)).transpose()
    };
    let images = pictures(&settings.image_key, &IMAGE_COLUMNS)?.unwrap_or_default();
    let positive = pictures(&settings.positive_key, &POSITIVE_COLUMNS)?;
    let negative = pictures(&settings.negative_key, &NEGATIVE_COLUMNS)?;

    let problem = problem.unwrap_or_else(|| IMAGE_TAG.repeat(images.len()) + &settings.question);
    // Files of questions alone leave the place of their only picture out.
    let problem = match problem.contains(IMAGE_TAG) {
        false if images.len() == 1 => format!("{IMAGE_TAG}{problem}"),
        _ => problem,
    };
    let places = problem.matches(IMAGE_TAG).count();
    ensure!(
        places == images.len(),
        "the problem has {places} {IMAGE_TAG} tags, the row has {} pictures\nhint: write {IMAGE_TAG} once for every \
         picture",
        images.len()
    );
    for (role, others) in [("positive", &positive), ("negative", &negative)] {
        if let Some(others) = others {
            ensure!(
                others.len() == images.len(),
                "the row has {} {role} pictures and {} of its own\nhint: give one for each",
                others.len(),
                images.len()
            );
        }
    }
    let mut messages = Vec::new();
    if !settings.system_prompt.is_empty() {
        messages.push(Message::text(Role::System, &settings.system_prompt));
    }
    let said = settings.format_prompt.replace(CONTENT, &problem);
    messages.push(Message::user(match split_content(&said) {
        Content::Parts(parts) => parts,
        Content::Text(text) => vec![Part::text(text)],
    }));
    let columns = told(row, settings);
    Ok(Question { source: source.to_owned(), columns, truth, messages, images, positive, negative })
}

/// The problem; `None` where the row has no words of its own.
fn read_problem(row: &Cell, settings: &DataSettings) -> Result<Option<String>> {
    let key = &settings.prompt_key;
    match column(row, key, &PROBLEM_COLUMNS) {
        Some((_, Cell::Text(text))) => Ok(Some(text.clone()).filter(|text| !text.trim().is_empty())),
        Some((name, other)) => bail!(
            "`{name}` is {}, expected a text\nhint: name the column of problems with data.prompt_key",
            other.kind()
        ),
        None if key.is_empty() => Ok(None),
        None => bail!(
            "the row has no `{key}`\nhint: its columns are {}; name one with data.prompt_key",
            column_names(row)
        ),
    }
}

/// The true answer, which a number may be too.
fn read_answer(row: &Cell, settings: &DataSettings) -> Result<String> {
    let (name, cell) = column(row, &settings.answer_key, &ANSWER_COLUMNS).with_context(|| {
        format!(
            "the row has no answer\nhint: its columns are {}; name one with data.answer_key",
            column_names(row)
        )
    })?;
    let answer = cell.written().with_context(|| {
        format!(
            "`{name}` is {}, expected a text or a number\nhint: name the column of true answers with data.answer_key",
            cell.kind()
        )
    })?;
    ensure!(
        !answer.trim().is_empty(),
        "`{name}` is empty, and every answer would be right\nhint: write the true answer, or leave the row out"
    );
    Ok(answer)
}

fn read_pictures(row: &Cell, name: &str, root: &Path) -> Result<Vec<Source>> {
    let images = read_images(row, name, root).map_err(explain)?;
    let several = images.len() > 1;
    let found = images.into_iter().map(|image| match image {
        ImageSource::File(path) if !path.is_file() => Err(explain(RowError::ImageMissing { path })),
        ImageSource::File(path) => Ok(Source(ImageSource::File(path))),
        ImageSource::Inside { name: number, bytes } => {
            let name = if several { format!("`{name}`, {number}") } else { format!("`{name}`") };
            Ok(Source(ImageSource::Inside { name, bytes }))
        }
    });
    found.collect()
}

/// The named column, or the first of these that the row has, and its name.
fn column<'row>(row: &'row Cell, key: &'row str, names: &[&'row str]) -> Option<(&'row str, &'row Cell)> {
    let names = if key.is_empty() { names } else { &[key] };
    names.iter().find_map(|name| Some((*name, row.get(name)?)))
}

fn column_names(row: &Cell) -> String {
    match row {
        Cell::Object(fields) => fields.keys().cloned().collect::<Vec<_>>().join(", "),
        _ => String::new(),
    }
}

/// The columns as rewards see them.
fn told(row: &Cell, settings: &DataSettings) -> Map<String, Value> {
    let pictures = [
        column(row, &settings.image_key, &IMAGE_COLUMNS),
        column(row, &settings.positive_key, &POSITIVE_COLUMNS),
        column(row, &settings.negative_key, &NEGATIVE_COLUMNS),
    ];
    let is_picture = |name: &str| pictures.iter().flatten().any(|(picture, _)| *picture == name);
    match row {
        Cell::Object(fields) => {
            fields.iter().map(|(name, cell)| (name.clone(), value(cell, is_picture(name)))).collect()
        }
        _ => Map::new(),
    }
}

/// A cell as JSON; null stands for the pictures inside it.
fn value(cell: &Cell, is_picture: bool) -> Value {
    match cell {
        Cell::Text(text) if is_picture && (text.starts_with("data:") || text.len() > LONGEST_PATH) => {
            Value::Null
        }
        Cell::List(cells) => cells.iter().map(|cell| value(cell, is_picture)).collect(),
        Cell::Object(fields) => {
            let of = |(name, cell): (&String, &Cell)| match name.as_str() {
                "bytes" if is_picture => (name.clone(), Value::Null),
                _ => (name.clone(), value(cell, is_picture)),
            };
            Value::Object(fields.iter().map(of).collect())
        }
        plain => plain.to_json().unwrap_or(Value::Null),
    }
}

/// What is wrong with a row, with the remedy of this kind of rows.
fn explain(error: RowError) -> anyhow::Error {
    let hint = match &error {
        RowError::Syntax { .. } | RowError::Shape { .. } => {
            r#"a row looks like {"problem": "<image>Which bird is this?", "answer": "Robin", "images": ["robin.jpg"]}"#
        }
        RowError::ImagePath { .. } => {
            r#"pictures are paths, data: URLs, base64, or {"bytes": …, "path": …}, one or a list of them"#
        }
        RowError::ImageMissing { .. } => "paths are relative to the file of rows, or to data.image_dir",
        other => other.hint(),
    };
    anyhow!("{error}\nhint: {hint}")
}

/// All true answers, each once.
#[must_use]
pub fn labels(questions: &[Question]) -> Vec<String> {
    let mut labels: Vec<String> = questions.iter().map(|question| question.truth.clone()).collect();
    labels.sort();
    labels.dedup();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(row: Value) -> Result<Question> {
        read_with(row, &DataSettings::default())
    }

    fn read_with(row: Value, settings: &DataSettings) -> Result<Question> {
        read_question(&row.into(), Path::new(env!("CARGO_MANIFEST_DIR")), settings, "rows:1")
    }

    fn file(name: &str) -> Source {
        Source(ImageSource::File(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)))
    }

    #[test]
    fn both_vocabularies_are_read() {
        for (positive, negative) in [("image_noisy", "image_aug"), ("positive", "negative")] {
            let question = read(json!({
                "problem": "<image>What is it?", "answer": "A", "images": ["Cargo.toml"],
                positive: ["src/main.rs"], negative: "src/device.rs",
            }))
            .expect("a row");
            assert_eq!(question.images, [file("Cargo.toml")]);
            assert_eq!(question.positive, Some(vec![file("src/main.rs")]));
            assert_eq!(question.negative, Some(vec![file("src/device.rs")]));
            assert_eq!(question.columns["answer"], "A", "rewards see all columns");
        }
    }

    #[test]
    fn pictures_inside_a_row_are_read_and_kept_from_rewards() {
        let long = format!("data:image/png;base64,{}", "AQID".repeat(2000));
        for picture in
            [json!({ "bytes": "AQID", "path": "a.png" }), json!({ "bytes": [1, 2, 3] }), json!(long)]
        {
            let question = read(json!({ "answer": "A", "images": [picture.clone()] })).expect("a row");
            let (bytes, name) = question.images[0].read(&question).expect("bytes");
            assert!(bytes.starts_with(&[1, 2, 3]));
            assert_eq!(name, "rows:1: `images`");
            assert!(question.columns["images"].to_string().len() < 40, "{:?}", question.columns);
        }
    }

    #[test]
    fn numbers_are_answers_by_their_digits() {
        for (answer, expected) in [(json!(5), "5"), (json!(-0.5), "-0.5"), (json!("5"), "5")] {
            assert_eq!(read(json!({ "prompt": "Why?", "answer": answer })).expect("a row").truth, expected);
        }
    }

    #[test]
    fn columns_that_are_named_must_be_there() {
        let settings = DataSettings { prompt_key: "ask".to_owned(), ..DataSettings::default() };
        let error = read_with(json!({ "problem": "Why?", "answer": "A" }), &settings).expect_err("no `ask`");
        assert!(error.to_string().contains("no `ask`") && error.to_string().contains("problem"), "{error}");
        assert!(read_with(json!({ "ask": "Why?", "answer": "A" }), &settings).is_ok());
    }

    #[test]
    fn a_row_without_words_is_asked_the_question_of_the_recipe() {
        let question = read(json!({ "image": "Cargo.toml", "label": "A" })).expect("a row");
        let parts = question.messages[0].parts();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[1], Part::text(format!("{DEFAULT_QUESTION}\n{INSTRUCTION}")));
        assert_eq!(question.positive, None);
    }

    #[test]
    fn rows_that_cannot_be_asked_are_refused() {
        for (row, reason) in [
            (json!({ "problem": "Why?" }), "no answer"),
            (
                json!({ "problem": "<image><image>Why?", "answer": "A", "images": ["Cargo.toml"] }),
                "2 <image> tags",
            ),
            (json!({ "answer": "A", "images": ["absent.jpg"] }), "absent.jpg is missing"),
            (json!({ "answer": "A", "images": [3] }), "`images` has a number"),
            (json!({ "problem": "Why?", "answer": "" }), "`answer` is empty"),
            (json!({ "problem": "Why?", "answer": " \n" }), "`answer` is empty"),
            (json!({ "problem": "Why?", "answer": ["A"] }), "`answer` is a list"),
            (json!({ "problem": [{ "role": "user" }], "answer": "A" }), "`problem` is a list"),
            (json!({ "problem": "Why?", "answer": "A", "videos": ["a.mp4"] }), "videos"),
            (
                json!({ "answer": "A", "images": ["Cargo.toml"], "positive": ["Cargo.toml", "Cargo.toml"] }),
                "2 positive pictures",
            ),
        ] {
            let error = format!("{:#}", read(row).expect_err(reason));
            assert!(error.contains(reason) && error.contains("\nhint: "), "{error}");
        }
    }
}
