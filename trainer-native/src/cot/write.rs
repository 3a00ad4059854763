//! Conversations on disk: a LLaMA-Factory "sharegpt" array with its `dataset_info.json`, and the
//! same words as plain lines for training a tokenizer.
//!
//! Follows <https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md>, section Sharegpt.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::checkpoint::read_text;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What stands for the picture in the first question.
pub const IMAGE_TAG: &str = "<image>";

/// One question and its answer; `kind` is for the report only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub kind: &'static str,
    pub question: String,
    pub answer: String,
}

/// One picture and what is said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    pub image: String,
    pub turns: Vec<Turn>,
}

/// What was written, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    pub dataset: String,
    pub conversations: usize,
    pub turns: usize,
    /// Of questions and answers together, a conversation.
    pub mean_characters: f64,
    pub longest_characters: usize,
    /// Of the answers alone, a conversation.
    pub mean_answer_characters: f64,
    pub kinds: BTreeMap<String, usize>,
    pub dataset_path: PathBuf,
    pub corpus_path: PathBuf,
    pub bytes: u64,
}

/// Writes a data set conversation by conversation; nothing but the counts is kept.
pub struct Writer {
    records: BufWriter<File>,
    corpus: BufWriter<File>,
    folder: PathBuf,
    system: Option<&'static str>,
    characters: usize,
    answer_characters: usize,
    report: Report,
}

#[derive(Serialize)]
struct Record<'a> {
    messages: Vec<Message<'a>>,
    images: [&'a str; 1],
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: std::borrow::Cow<'a, str>,
}

impl Conversation {
    fn record(&self, system: Option<&'static str>) -> Record<'_> {
        let system = system.map(|content| Message { role: "system", content: content.into() });
        let turns = self.turns.iter().enumerate().flat_map(|(index, turn)| {
            let question = match index {
                0 => format!("{IMAGE_TAG}{}", turn.question).into(),
                _ => turn.question.as_str().into(),
            };
            let user = Message { role: "user", content: question };
            let assistant = Message { role: "assistant", content: turn.answer.as_str().into() };
            [user, assistant]
        });
        let messages = system.into_iter().chain(turns).collect();
        Record { messages, images: [&self.image] }
    }
}

impl Writer {
    /// Begins `<dataset>.json` and `<dataset>.txt` in `folder`, which is made where it is missing.
    pub fn create(folder: &Path, dataset: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let dataset_path = folder.join(format!("{dataset}.json"));
        let corpus_path = folder.join(format!("{dataset}.txt"));
        let mut records = create(&dataset_path)?;
        records.write_all(b"[")?;
        Ok(Self {
            records,
            corpus: create(&corpus_path)?,
            folder: folder.to_path_buf(),
            system: None,
            characters: 0,
            answer_characters: 0,
            report: Report { dataset: dataset.to_string(), dataset_path, corpus_path, ..Report::default() },
        })
    }

    /// Begins every conversation that follows with a system message.
    #[must_use]
    pub fn with_system(mut self, system: &'static str) -> Self {
        self.system = Some(system);
        self
    }

    pub fn push(&mut self, conversation: &Conversation) -> Result<()> {
        let separator: &[u8] = match self.report.conversations {
            0 => b"\n",
            _ => b",\n",
        };
        self.records.write_all(separator)?;
        serde_json::to_writer(&mut self.records, &conversation.record(self.system))?;
        let mut characters = 0;
        for turn in &conversation.turns {
            writeln!(self.corpus, "{}\n{}", turn.question, turn.answer)?;
            let answer = turn.answer.chars().count();
            characters += turn.question.chars().count() + answer;
            self.answer_characters += answer;
            *self.report.kinds.entry(turn.kind.to_string()).or_default() += 1;
        }
        self.characters += characters;
        self.report.conversations += 1;
        self.report.turns += conversation.turns.len();
        self.report.longest_characters = self.report.longest_characters.max(characters);
        Ok(())
    }

    /// Closes the files and enters the data set into `dataset_info.json`, beside what is there.
    pub fn finish(mut self) -> Result<Report> {
        self.records.write_all(b"\n]\n")?;
        self.records.flush()?;
        self.corpus.flush()?;
        register(&self.folder, &self.report.dataset)?;
        let count = self.report.conversations.max(1) as f64;
        self.report.mean_characters = self.characters as f64 / count;
        self.report.mean_answer_characters = self.answer_characters as f64 / count;
        self.report.bytes = fs::metadata(&self.report.dataset_path)?.len();
        Ok(self.report)
    }
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(BufWriter::new(file))
}

fn register(folder: &Path, dataset: &str) -> Result<()> {
    let path = folder.join("dataset_info.json");
    let mut entries: Map<String, Value> = if path.exists() {
        serde_json::from_str(&read_text(&path)?).map_err(|error| {
            anyhow::anyhow!(
                "{}:{}: {error}\nhint: mend it, or name another folder with --out",
                path.display(),
                error.line()
            )
        })?
    } else {
        Map::new()
    };
    let entry = json!({
        "file_name": format!("{dataset}.json"),
        "formatting": "sharegpt",
        "columns": { "messages": "messages", "images": "images" },
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    });
    entries.insert(dataset.to_string(), entry);
    let text = serde_json::to_string_pretty(&entries)?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cot::facts::fixture::Folder;

    fn conversation() -> Conversation {
        let turn = |question: &str, answer: &str| Turn {
            kind: "name_open",
            question: question.into(),
            answer: answer.into(),
        };
        Conversation {
            image: "a/b.jpg".into(),
            turns: vec![turn("Which?", "A320"), turn("Tail?", "A \"T\".")],
        }
    }

    #[test]
    fn writes_what_llama_factory_reads() {
        let folder = Folder::new();
        let mut writer = Writer::create(folder.path(), "captions").unwrap();
        writer.push(&conversation()).unwrap();
        writer.push(&conversation()).unwrap();
        let report = writer.finish().unwrap();
        assert_eq!((report.conversations, report.turns), (2, 4));
        assert_eq!(report.kinds["name_open"], 4);
        assert_eq!(report.mean_characters, 21.0);
        assert_eq!(report.mean_answer_characters, 10.0);

        let text = fs::read_to_string(report.dataset_path).unwrap();
        let records: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            records[1],
            json!({
                "messages": [
                    { "role": "user", "content": "<image>Which?" },
                    { "role": "assistant", "content": "A320" },
                    { "role": "user", "content": "Tail?" },
                    { "role": "assistant", "content": "A \"T\"." },
                ],
                "images": ["a/b.jpg"],
            })
        );
        let corpus = fs::read_to_string(report.corpus_path).unwrap();
        assert!(corpus.starts_with("Which?\nA320\nTail?\nA \"T\".\n"));
    }

    #[test]
    fn two_data_sets_share_a_folder() {
        let folder = Folder::new();
        for dataset in ["captions", "rationales"] {
            let writer = Writer::create(folder.path(), dataset).unwrap();
            writer.finish().unwrap();
        }
        let text = fs::read_to_string(folder.path().join("dataset_info.json")).unwrap();
        let info: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(info["captions"]["file_name"], "captions.json");
        assert_eq!(info["rationales"]["formatting"], "sharegpt");
        assert_eq!(info["rationales"]["columns"]["images"], "images");
        assert_eq!(info["rationales"]["tags"]["role_tag"], "role");
    }
}
