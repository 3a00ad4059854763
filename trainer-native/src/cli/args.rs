//! The command line, as clap reads it.

use super::{CotArgs, EvaluateArgs, GpuCheckArgs};
use crate::dataset::{Classes, Layout, Part};
use crate::device::DeviceChoice;
use crate::rl::Objective;
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
    Cot(Box<CotArgs>),
    /// Reckon peak memory and time of a recipe before it starts.
    Estimate(EstimateArgs),
    /// Supervised fine-tuning.
    Sft(SftArgs),
    /// Make triplets (anchor, positive, negative) from labelled pictures.
    Triplets(TripletsArgs),
    /// Reinforcement learning: answers against their group, near a reference.
    Grpo(RlArgs),
    /// Reinforcement learning: GRPO with dynamic sampling and a higher clip, without reference.
    Dapo(RlArgs),
    /// Reinforcement learning: DAPO, and away from the masked picture.
    Papo(RlArgs),
    /// Reinforcement learning: answers to noisy pictures as well.
    NoisyRollout(RlArgs),
    /// Reinforcement learning on triplets: DAPO with positive pictures, and away from negative ones.
    Tapo(RlArgs),
    /// Measure a checkpoint on labelled photos.
    Evaluate(EvaluateArgs),
    /// Hold a device against the processor, and measure it: decoding, training, shares of its ceilings.
    GpuCheck(Box<GpuCheckArgs>),
}

/// How answers are decoded; the checkpoint's `generation_config.json` gives the defaults.
#[derive(Debug, Clone, Args)]
pub struct DecodingArgs {
    /// Most tokens of an answer; 512 where neither this nor the checkpoint says.
    #[arg(long, value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// Randomness; 0 takes the likeliest token.
    #[arg(long, value_name = "T", value_parser = parse_temperature, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Sample from the likeliest tokens whose probabilities reach P.
    #[arg(long, value_name = "P", value_parser = parse_share)]
    pub top_p: Option<f64>,
    /// Above 1, makes tokens that were seen less likely.
    #[arg(long, value_name = "R", value_parser = parse_penalty)]
    pub repetition_penalty: Option<f64>,
    /// Makes sampling repeatable; 0 where absent.
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
}

/// `recognize`
#[derive(Debug, Args)]
pub struct RecognizeArgs {
    /// Photos: PNG, JPEG, WebP, BMP or GIF.
    #[arg(value_name = "PHOTO", required_unless_present = "messages", conflicts_with = "messages")]
    pub photos: Vec<PathBuf>,
    /// A conversation in place of photos: Hugging Face chat messages, paths relative to the file.
    /// Several are answered one after another: give the option again for each.
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["question", "candidates"])]
    pub messages: Vec<PathBuf>,
    /// Folder of a checkpoint; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder of an adapter that PEFT or `sft` wrote, for the model to answer with.
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
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
    /// Folder of an adapter that PEFT or `sft` wrote, for the model to answer with.
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
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
    /// Folder of an adapter that was trained on the checkpoint, to be worked into the weights.
    #[arg(long, value_name = "ADAPTER")]
    pub merge: Option<PathBuf>,
    /// Largest weight file, such as 5GB or 200MB; weights beyond it go into shards.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_shard_size: Option<usize>,
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

/// `estimate`
#[derive(Debug, Args)]
pub struct EstimateArgs {
    /// The verb that would train by reinforcement; `sft` where absent.
    #[arg(value_enum, value_name = "VERB")]
    pub objective: Option<Objective>,
    /// The run, as TOML.
    #[arg(long, value_name = "FILE.toml")]
    pub recipe: PathBuf,
    /// Tokens that an answer is expected to have, for the time of reinforcement learning; as many as the recipe
    /// lets it have where absent.
    #[arg(long, value_name = "N")]
    pub answer_tokens: Option<usize>,
    /// Changes an entry of the recipe.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Where the model would train.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
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
    /// Read all data, decode every image, report bad rows and lengths, and train nothing.
    #[arg(long, conflicts_with = "resume")]
    pub check_data: bool,
    /// With --check-data: show how the first N rows are trained on.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "check_data")]
    pub show: usize,
    /// With --check-data: one JSON object on stdout.
    #[arg(long, requires = "check_data")]
    pub json: bool,
    /// Where the model trains.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
}

/// `triplets`
#[derive(Debug, Args)]
pub struct TripletsArgs {
    /// Labelled pictures: a folder per class, the folder of a known set, a .csv or a .jsonl file; repeatable.
    #[arg(long, value_name = "PATH", required = true)]
    pub data: Vec<PathBuf>,
    /// How they lie; recognised where absent.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Which part, as the set's authors parted it.
    #[arg(long, value_enum, default_value_t = Part::Train)]
    pub part: Part,
    /// Which classes: `seen` or `unseen` as Fine-R1 released them, or a file that names them; all where absent.
    #[arg(long, value_name = "seen|unseen|FILE")]
    pub classes: Option<Classes>,
    /// Folder that paths in .csv and .jsonl files are relative to; each file's own where absent.
    #[arg(long, value_name = "DIR")]
    pub image_root: Option<PathBuf>,
    /// Folder to write, which must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Pictures of every class; 0 takes all.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub shots: usize,
    /// Draws pictures.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// How the nearest other class is found: `features` of the vision tower, `names`, or a JSON table.
    #[arg(long, value_name = "features|names|FILE.json", default_value = "features")]
    pub nearest: String,
    /// Resize positives and negatives to the anchor's size, which the released TAPO code needs and ours does not.
    #[arg(long)]
    pub same_size: bool,
    /// Folder of the checkpoint whose vision tower looks, CLIP and SigLIP included; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Where the model runs.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// `grpo`, `dapo`, `papo`, `noisy-rollout`, `tapo`
#[derive(Debug, Args)]
pub struct RlArgs {
    /// The run, as TOML; the verb gives the defaults.
    #[arg(long, value_name = "FILE.toml")]
    pub recipe: PathBuf,
    /// Changes an entry of the recipe, such as rollout.temperature=0.9.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Go on from the run's last checkpoint.
    #[arg(long)]
    pub resume: bool,
    /// Where the model trains.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
}

/// Bytes in the spelling of transformers' `max_shard_size`: decimal units, or none.
fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        other => return Err(format!("{other} is no unit; KB, MB and GB are")),
    };
    let size = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit));
    size.filter(|size| *size > 0).ok_or_else(|| "not a size".to_owned())
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

pub(super) fn parse_penalty(text: &str) -> Result<f64, String> {
    number(text).and_then(|value| if value > 0.0 { Ok(value) } else { Err("must be above 0".into()) })
}
