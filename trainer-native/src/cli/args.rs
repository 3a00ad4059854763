//! The command line, as clap reads it.

use super::EvaluateArgs;
use crate::device::DeviceChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};
use fine_r1_core::config::PRESETS;
use fine_r1_core::weights::Precision;
use std::path::PathBuf;

/// Fine-R1: look at a photo, reason aloud, name the fine-grained category.
#[derive(Debug, Parser)]
#[command(name = "trainer-native", version, propagate_version = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Recognise photos, or answer a conversation: thought first, then the answer.
    Recognize(RecognizeArgs),
    /// Log-probabilities of a given continuation of a conversation.
    Score(ScoreArgs),
    /// Describe a checkpoint: architecture, sizes, parameters, what is missing or odd, memory.
    Inspect(InspectArgs),
    /// Write a checkpoint in another precision.
    Export(ExportArgs),
    /// List a checkpoint's files with sizes and hashes, so that browsers can fetch it.
    Manifest(ManifestArgs),
    /// Make a fresh checkpoint with a tokenizer trained on a corpus.
    Init(InitArgs),
    /// Make training conversations.
    Cot(CotArgs),
    /// Supervised fine-tuning.
    Sft(SftArgs),
    /// Measure a checkpoint on labelled photos.
    Evaluate(EvaluateArgs),
}

/// How answers are decoded; the checkpoint's `generation_config.json` gives the defaults.
#[derive(Debug, Clone, Args)]
pub struct DecodingArgs {
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub max_new_tokens: usize,
    /// Randomness; 0 takes the likeliest token.
    #[arg(long, value_name = "T", value_parser = parse_temperature)]
    pub temperature: Option<f64>,
    /// Sample from the likeliest tokens whose probabilities reach P.
    #[arg(long, value_name = "P", value_parser = parse_share)]
    pub top_p: Option<f64>,
    /// Above 1, makes tokens that were seen less likely.
    #[arg(long, value_name = "R", value_parser = parse_penalty)]
    pub repetition_penalty: Option<f64>,
    /// Makes sampling repeatable.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// `recognize`
#[derive(Debug, Args)]
pub struct RecognizeArgs {
    /// Photos: PNG, JPEG, WebP, BMP or GIF.
    #[arg(value_name = "PHOTO", required_unless_present = "messages", conflicts_with = "messages")]
    pub photos: Vec<PathBuf>,
    /// A conversation in place of photos: Hugging Face chat messages, paths relative to the file.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["question", "candidates"])]
    pub messages: Option<PathBuf>,
    /// Folder of a checkpoint; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// What to ask about the photo.
    #[arg(long, value_name = "TEXT")]
    pub question: Option<String>,
    /// Names to choose from, separated by commas.
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    pub candidates: Vec<String>,
    /// Choice of tokens.
    #[command(flatten)]
    pub decoding: DecodingArgs,
    /// Where the model runs.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// One JSON object a photo on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `score`
#[derive(Debug, Args)]
pub struct ScoreArgs {
    /// Folder of a checkpoint; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Hugging Face chat messages, paths relative to the file.
    #[arg(long, value_name = "FILE.json")]
    pub messages: PathBuf,
    /// The text to score after the prompt.
    #[arg(long, value_name = "TEXT")]
    pub continuation: String,
    /// Where the model runs.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `inspect`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Folder of a checkpoint.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `export`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of a checkpoint.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// Folder to write, which must not exist or be empty.
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Precision of the written weights.
    #[arg(long, value_enum)]
    pub dtype: DtypeArg,
}

/// A precision on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    /// 32 bits.
    F32,
    /// 16 bits, 10 of them mantissa.
    F16,
    /// 16 bits, 7 of them mantissa.
    Bf16,
}

impl From<DtypeArg> for Precision {
    fn from(dtype: DtypeArg) -> Self {
        match dtype {
            DtypeArg::F32 => Self::F32,
            DtypeArg::F16 => Self::F16,
            DtypeArg::Bf16 => Self::Bf16,
        }
    }
}

/// `manifest`
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// Folder of a checkpoint; gets the file `manifest.json`.
    #[arg(value_name = "DIR")]
    pub model: PathBuf,
    /// What people call the model; the folder's name where absent.
    #[arg(long)]
    pub name: Option<String>,
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Sizes to start from.
    #[arg(long, value_parser = PRESETS)]
    pub preset: String,
    /// Text to train the tokenizer on, one piece a line.
    #[arg(long, value_name = "FILE")]
    pub corpus: PathBuf,
    /// Folder to write, which must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Makes the weights repeatable.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// `cot`
#[derive(Debug, Args)]
pub struct CotArgs {
    /// Who writes.
    #[arg(long, value_enum, default_value_t = Teacher::Facts)]
    pub teacher: Teacher,
    /// What is written.
    #[arg(long, value_enum, default_value_t = CotKind::Rationale)]
    pub kind: CotKind,
    /// The attribute file of the classes.
    #[arg(long, value_name = "FILE")]
    pub variants: PathBuf,
    /// Labelled images, one JSON object a line.
    #[arg(long, value_name = "FILE.jsonl")]
    pub images: PathBuf,
    /// Put before the path of every image.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub image_root: String,
    /// Folder to write.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Conversations for every image.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub per_image: usize,
    /// Makes the texts repeatable.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

/// Who writes training conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Teacher {
    /// Templates over an attribute file.
    Facts,
}

/// What training conversations are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CotKind {
    /// Lists of all that can be seen, for pre-training.
    Inventory,
    /// Questions about names and visible attributes, for pre-training.
    Caption,
    /// Chains of thought, for stage 1.
    Rationale,
}

/// `sft`
#[derive(Debug, Args)]
pub struct SftArgs {
    /// The run, as TOML.
    #[arg(long, value_name = "FILE.toml")]
    pub recipe: PathBuf,
    /// Changes an entry of the recipe.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Go on from the run's last checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Where the model trains.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| "not a number".to_owned())
}

pub(super) fn parse_temperature(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value >= 0.0 { Ok(value) } else { Err("must be at least 0".into()) })
}

pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| {
        if value > 0.0 && value <= 1.0 { Ok(value) } else { Err("must be above 0 and at most 1".into()) }
    })
}

fn parse_penalty(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".into()) })
}
