//! Questions to be answered, as EasyR1 and the released TAPO keep them: a problem, an answer, pictures.
//!
//! <https://github.com/hiyouga/EasyR1/blob/b44b311/verl/utils/dataset.py>. The columns of the two other pictures
//! are called `image_noisy` (another picture of the same class) and `image_aug` (a picture of another class)
//! there, names that are inherited and confuse: <https://github.com/PKU-ICST-MIPL/FineR1_ICLR2026/issues/4>.
//! Here `positive` and `negative` are read as well.

use crate::bounded::read_image;
use crate::checkpoint::read_text;
use crate::dataset::split_content;
use anyhow::{Context, Result, bail, ensure};
use fine_r1_core::prompt::question::{DEFAULT_QUESTION, INSTRUCTION};
use fine_r1_core::prompt::{Content, Message, Part};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// Stands where a picture goes in a problem.
const IMAGE_TAG: &str = "<image>";
/// Stands where the problem goes in a format.
const CONTENT: &str = "{content}";

/// The `[data]` table of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Files of rows (`.jsonl`, `.json`), or folders of `.jsonl` files.
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

/// A picture on disk or in the row itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file.
    Path(PathBuf),
    /// An encoded file.
    Bytes(Vec<u8>),
}

impl Source {
    /// The encoded file and its name, for messages.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, question: &Question) -> Result<(Cow<'_, [u8]>, String)> {
        Ok(match self {
            Self::Path(path) => (Cow::from(read_image(path)?), path.display().to_string()),
            Self::Bytes(bytes) => (Cow::from(bytes.as_slice()), question.source.clone()),
        })
    }
}

/// One row.
#[derive(Debug, Clone)]
pub struct Question {
    /// Where it stands, for messages.
    pub source: String,
    /// All columns, for rewards.
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
        for (number, row) in read_rows(&path)? {
            let source = format!("{}:{number}", path.display());
            let question = read_question(row, &root, settings, &source).with_context(|| source.clone())?;
            questions.push(question);
        }
    }
    ensure!(
        !questions.is_empty(),
        "there are no rows to learn from\nhint: name files of rows in data.train_files"
    );
    Ok(questions)
}

/// The files of rows that a path stands for.
fn files_of(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .with_context(|| format!("cannot read {}\nhint: check data.train_files", path.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    ensure!(!files.is_empty(), "{} has no rows\nhint: the folder needs .jsonl files", path.display());
    Ok(files)
}

/// The rows of a file and their numbers.
fn read_rows(path: &Path) -> Result<Vec<(usize, Map<String, Value>)>> {
    if path.extension().is_some_and(|extension| extension == "parquet") {
        bail!("{} is a parquet file\nhint: write its rows as JSON lines", path.display());
    }
    let text = read_text(path)?;
    if text.trim_start().starts_with('[') {
        let rows: Vec<Map<String, Value>> = serde_json::from_str(&text).with_context(|| {
            format!("{} is no JSON list of rows\nhint: write the file anew, or copy it again", path.display())
        })?;
        return Ok((1..).zip(rows).collect());
    }
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            let row = serde_json::from_str(line).with_context(|| {
                format!(
                    "{}:{number} is no JSON object\nhint: a row looks like {{\"problem\": \"<image>Which bird is \
                     this?\", \"answer\": \"Robin\", \"images\": [\"robin.jpg\"]}}",
                    path.display()
                )
            })?;
            Ok((number, row))
        })
        .collect()
}

fn read_question(
    columns: Map<String, Value>,
    root: &Path,
    settings: &DataSettings,
    source: &str,
) -> Result<Question> {
    let text = |key: &str, names: &[&str]| column(&columns, key, names).and_then(Value::as_str);
    let problem = text(&settings.prompt_key, &["problem", "prompt", "question"]);
    let answer = text(&settings.answer_key, &["answer", "ground_truth", "label"]).with_context(|| {
        format!(
            "the row has no answer\nhint: its columns are {}; name one with data.answer_key",
            columns.keys().cloned().collect::<Vec<_>>().join(", ")
        )
    })?;
    let pictures = |key: &str, names: &[&str]| -> Result<Option<Vec<Source>>> {
        column(&columns, key, names).map(|value| sources(value, root)).transpose()
    };
    let images = pictures(&settings.image_key, &["images", "image", "image_path"])?.unwrap_or_default();
    let positive = pictures(&settings.positive_key, &["image_noisy", "positive"])?;
    let negative = pictures(&settings.negative_key, &["image_aug", "images_aug", "negative"])?;

    let problem = problem
        .filter(|problem| !problem.trim().is_empty())
        .map_or_else(|| IMAGE_TAG.repeat(images.len()) + &settings.question, str::to_owned);
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
        messages.push(Message::text(fine_r1_core::prompt::Role::System, &settings.system_prompt));
    }
    let said = settings.format_prompt.replace(CONTENT, &problem);
    messages.push(Message::user(match split_content(&said) {
        Content::Parts(parts) => parts,
        Content::Text(text) => vec![Part::text(text)],
    }));
    let truth = answer.to_owned();
    Ok(Question { source: source.to_owned(), truth, messages, images, positive, negative, columns })
}

/// The value of the named column, or of the first that there is.
fn column<'row>(columns: &'row Map<String, Value>, key: &str, names: &[&str]) -> Option<&'row Value> {
    let found =
        if key.is_empty() { names.iter().find_map(|name| columns.get(*name)) } else { columns.get(key) };
    found.filter(|value| !value.is_null())
}

fn sources(value: &Value, root: &Path) -> Result<Vec<Source>> {
    let one = |value: &Value| -> Result<Source> {
        let path = match value {
            Value::String(path) => Some(path.as_str()),
            Value::Object(fields) => {
                if let Some(bytes) = fields.get("bytes").and_then(Value::as_array) {
                    let bytes =
                        bytes.iter().map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()));
                    return bytes
                        .collect::<Option<Vec<u8>>>()
                        .map(Source::Bytes)
                        .context("bytes out of range");
                }
                fields.get("path").and_then(Value::as_str)
            }
            _ => None,
        };
        let path = root.join(path.context("a picture is no path\nhint: give pictures as paths")?);
        ensure!(
            path.is_file(),
            "{} is missing\nhint: paths are relative to the file of rows, or to data.image_dir",
            path.display()
        );
        Ok(Source::Path(path))
    };
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
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
        let Value::Object(row) = row else { unreachable!("an object") };
        read_question(row, Path::new(env!("CARGO_MANIFEST_DIR")), &DataSettings::default(), "rows:1")
    }

    #[test]
    fn both_vocabularies_are_read() {
        for (positive, negative) in [("image_noisy", "image_aug"), ("positive", "negative")] {
            let question = read(json!({
                "problem": "<image>What is it?", "answer": "A", "images": ["Cargo.toml"],
                positive: ["src/main.rs"], negative: "src/device.rs",
            }))
            .expect("a row");
            let path = |name: &str| Source::Path(Path::new(env!("CARGO_MANIFEST_DIR")).join(name));
            assert_eq!(question.images, [path("Cargo.toml")]);
            assert_eq!(question.positive, Some(vec![path("src/main.rs")]));
            assert_eq!(question.negative, Some(vec![path("src/device.rs")]));
            assert_eq!(question.columns["answer"], "A", "rewards see all columns");
        }
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
            (json!({ "answer": "A", "images": [3] }), "no path"),
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
