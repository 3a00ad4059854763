//! The command line of `evaluate`.

use super::args::{parse_penalty, parse_share, parse_temperature};
use crate::device::DeviceChoice;
use crate::evaluate::{Shard, Task};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `evaluate`
#[derive(Debug, Args)]
pub struct EvaluateArgs {
    /// Folder of a checkpoint, also of CLIP or SigLIP; the embedded nano model where absent.
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Folder of an adapter that PEFT or `sft` wrote, for the model to answer with.
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Labelled images with options, one JSON object a line; repeatable. `NAME_seen.jsonl` and
    /// `NAME_unseen.jsonl` are the two splits of one data set.
    #[arg(long, value_name = "FILE.jsonl", required_unless_present = "compare")]
    pub data: Vec<PathBuf>,
    /// Folder that images' paths are relative to, for all sets, or for one, where it counts more; each file's own
    /// where absent.
    #[arg(long, value_name = "[SET=]DIR")]
    pub image_root: Vec<String>,
    /// Shuffles the options, and makes sampling and intervals repeatable.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// What is asked.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Task::ClosedWorld, Task::OpenWorld])]
    pub task: Vec<Task>,
    /// What is asked again with something taken away.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Ablation::BlankImage])]
    pub ablate: Vec<Ablation>,
    /// Ask the closed world in the files' order too, where the true name comes first: for parity only.
    #[arg(long)]
    pub released_order: bool,
    /// How it is asked: `trained`, as this project's models are trained; `released`, Fine-R1's evaluation;
    /// `released-answer-only`, the same for raw base models; or a file with `closed` and `open`. `trained` where
    /// absent.
    #[arg(long, value_name = "NAME|FILE.toml", conflicts_with = "answer_only")]
    pub prompt: Option<String>,
    /// Ask for the name alone, without thought, as a raw base model is asked.
    #[arg(long)]
    pub answer_only: bool,
    /// Answers to every question; above 1 they are sampled, and vote.
    #[arg(long, value_name = "K", default_value_t = 1, value_parser = parse_samples)]
    pub samples: usize,
    /// Randomness of samples; 1 where absent.
    #[arg(long, value_name = "T", value_parser = parse_temperature)]
    pub temperature: Option<f64>,
    /// Sample from the likeliest tokens whose probabilities reach P; all where absent.
    #[arg(long, value_name = "P", value_parser = parse_share)]
    pub top_p: Option<f64>,
    /// Above 1, makes tokens that were seen less likely; the checkpoint's own where absent.
    #[arg(long, value_name = "R", value_parser = parse_penalty)]
    pub repetition_penalty: Option<f64>,
    /// Score every option behind the model's thought too, to see how well its probabilities are calibrated;
    /// takes as long again as four short answers.
    #[arg(long)]
    pub score_options: bool,
    /// How CLIP and SigLIP read a name; `a photo of a {}` where absent.
    #[arg(long, value_name = "TEXT", value_parser = parse_class_prompt)]
    pub class_prompt: Option<String>,
    /// Folder of a CLIP, SigLIP or sentence-embedder (MiniLM-class) checkpoint whose text vectors tell how near
    /// an open answer comes; results name it.
    #[arg(long, value_name = "DIR")]
    pub embedder: Option<PathBuf>,
    /// The word that answers must be nearer than, for a data set; repeatable.
    #[arg(long, value_name = "DATASET=WORD", conflicts_with = "released_category")]
    pub category: Vec<String>,
    /// Take that word from the images' paths, as the released evaluation does: for parity only.
    #[arg(long)]
    pub released_category: bool,
    /// Rows of training images for the linear probe; no probe where absent.
    #[arg(long, value_name = "FILE.jsonl")]
    pub probe: Option<PathBuf>,
    /// Most tokens of an answer; where absent 2048 for the released prompts, as there, and 256 for others.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    pub max_new_tokens: Option<usize>,
    /// Answers that are decoded together.
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = parse_count)]
    pub batch: usize,
    /// Folder for answers and reports; a second run there asks only what is missing.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Ask every Nth question only, beginning with the Ith, while others ask the rest into the same folder.
    #[arg(long, value_name = "I/N", requires = "out")]
    pub shard: Option<Shard>,
    /// Print the published tables beside the results.
    #[arg(long)]
    pub published: bool,
    /// Compare two folders of answers, or their `results.jsonl`, image by image, in place of asking.
    #[arg(long, num_args = 2, value_names = ["DIR", "DIR"], conflicts_with_all = ["data", "model", "out"])]
    pub compare: Option<Vec<PathBuf>>,
    /// Where the model runs.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Something that is taken away, to see what it was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ablation {
    /// Nothing.
    None,
    /// The chain of thought.
    NoThinking,
    /// The right photo: another class's is shown.
    ShuffledImage,
    /// Any photo: a grey picture is shown.
    BlankImage,
}

fn parse_samples(text: &str) -> Result<usize, String> {
    const MOST: usize = 1024;
    let count = text.parse::<usize>().map_err(|error| error.to_string())?;
    if (1..=MOST).contains(&count) { Ok(count) } else { Err(format!("must be 1 to {MOST}")) }
}

fn parse_count(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().map_err(|error| error.to_string())?;
    if count > 0 { Ok(count) } else { Err("must be at least 1".into()) }
}

fn parse_class_prompt(text: &str) -> Result<String, String> {
    if text.contains("{}") { Ok(text.to_owned()) } else { Err("must have {} where the name goes".into()) }
}
