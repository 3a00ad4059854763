//! `cot` on the command line.

use crate::cot::distill::{CandidateOrder, Form, language::language};
use crate::dataset::{Classes, Layout, Part};
use crate::device::DeviceChoice;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};
use std::path::PathBuf;
use whatlang::Lang;

/// `cot`
#[derive(Debug, Args)]
pub struct CotArgs {
    /// Who writes.
    #[arg(long, value_enum, default_value_t = TeacherKind::Facts)]
    pub teacher: TeacherKind,
    /// What is written; with --data always rationales.
    #[arg(long, value_enum, default_value_t = CotKind::Rationale)]
    pub kind: CotKind,
    /// The attribute file of the classes, for the teacher `facts`.
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    pub variants: Option<PathBuf>,
    /// Labelled images, one JSON object a line, for `facts` without --data.
    #[arg(long, value_name = "FILE.jsonl", required_unless_present = "data", conflicts_with = "data")]
    pub images: Option<PathBuf>,
    /// Put before the path of every image.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub image_root: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Conversations for every image, for `facts` without --data.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub per_image: usize,
    /// Makes samples, questions and texts repeatable.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Which pictures.
    #[command(flatten)]
    pub pictures: PictureArgs,
    /// Whom to ask.
    #[command(flatten)]
    pub asking: AskingArgs,
    /// What to keep.
    #[command(flatten)]
    pub keeping: KeepingArgs,
}

/// Who writes training conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TeacherKind {
    /// Templates over an attribute file.
    Facts,
    /// A checkpoint on this machine.
    Local,
    /// A server that speaks OpenAI's chat protocol.
    Server,
}

/// What training conversations are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CotKind {
    /// The name and nothing else, for pre-training.
    Name,
    /// Questions about names and visible attributes, for pre-training.
    Caption,
    /// Chains of thought, for stage 1.
    Rationale,
}

/// Which pictures are asked about.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pictures")]
pub struct PictureArgs {
    /// Labelled pictures: a folder per class, the folder of a known set, a .csv or a .jsonl file.
    #[arg(long, value_name = "PATH")]
    pub data: Option<PathBuf>,
    /// How they lie; recognised where absent.
    #[arg(long, value_enum, requires = "data")]
    pub layout: Option<Layout>,
    /// Which part, as the set's authors parted it.
    #[arg(long, value_enum, default_value_t = Part::Train)]
    pub part: Part,
    /// Which classes: `seen` or `unseen` as Fine-R1 released them, or a file that names them; all where absent.
    #[arg(long, value_name = "seen|unseen|FILE", requires = "data")]
    pub classes: Option<Classes>,
    /// Pictures of every class, chosen by the seed; all where absent.
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "data")]
    pub shots: Option<usize>,
    /// What all of them show, such as `bird`; known for known sets, else `object`.
    #[arg(long, value_name = "WORD")]
    pub super_category: Option<String>,
    /// Asked about every picture; one of many phrasings where absent.
    #[arg(long, value_name = "TEXT")]
    pub question: Option<String>,
}

/// Whom to ask, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Teacher")]
pub struct AskingArgs {
    /// Folder of the checkpoint for `local`; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Where models of this machine run.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Address of the server, as http://localhost:8000/v1.
    #[arg(long, value_name = "URL")]
    pub server_url: Option<String>,
    /// What the server calls its model.
    #[arg(long, value_name = "NAME")]
    pub server_model: Option<String>,
    /// Environment variable that holds the server's key; no key is sent where absent.
    #[arg(long, value_name = "NAME")]
    pub api_key_env: Option<String>,
    /// Fields that are added to every request; null takes one away.
    #[arg(long, value_name = "JSON", value_parser = parse_fields)]
    pub server_body: Option<Map<String, Value>>,
    /// Questions that are open at the server at a time.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 8)]
    pub concurrency: usize,
    /// Longest wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout_secs: u64,
    /// How often a question that failed is asked again.
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub retries: usize,
    /// First pause before that; each further one is twice as long.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000)]
    pub retry_pause_ms: u64,
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 2048)]
    pub max_new_tokens: usize,
    /// Randomness of answers; 0 takes the likeliest token.
    #[arg(long, value_name = "T", value_parser = super::args::parse_temperature, default_value_t = 1.0)]
    pub temperature: f64,
    /// Folder of a sentence embedder, such as all-MiniLM-L6-v2: visual concepts are chosen first.
    #[arg(long, value_name = "DIR")]
    pub concepts: Option<PathBuf>,
    /// Descriptions of every picture that concepts are chosen from.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 5)]
    pub descriptions: usize,
}

/// Which texts are kept, and in which form.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters and form")]
pub struct KeepingArgs {
    /// How often a picture is asked about until a text passes.
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = 4)]
    pub attempts: usize,
    /// Fewest words of analysis and comparison.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub min_words: usize,
    /// Most words of analysis and comparison.
    #[arg(long, value_name = "N", default_value_t = 1200)]
    pub max_words: usize,
    /// Language that is asked for and held to.
    #[arg(long, value_name = "CODE", value_parser = parse_language, default_value = "en")]
    pub language: Lang,
    /// Where the true name stands among the candidates; `teacher` for parity with the released data.
    #[arg(long, value_enum, default_value_t = CandidateOrder::Shuffled)]
    pub candidate_order: CandidateOrder,
    /// Where the instruction to think stands; `released` for parity with the released data.
    #[arg(long, value_enum, default_value_t = Form::Question)]
    pub form: Form,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "must be a whole number of at least 1".to_owned())
}

fn parse_language(code: &str) -> Result<Lang, String> {
    language(code).ok_or_else(|| "not the code of a language, such as en or deu".to_owned())
}

fn parse_fields(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "not a JSON object".to_owned())
}
