//! `gpu-check`, as clap reads it.

use super::DtypeArg;
use crate::device::DeviceChoice;
use crate::gpu_check::Part;
use clap::Args;
use fine_r1_core::config::PRESETS;
use std::path::PathBuf;

/// `gpu-check`
#[derive(Debug, Args)]
pub struct GpuCheckArgs {
    /// Photos that the embedded model recognises on both; made-up ones where absent.
    #[arg(value_name = "PHOTO")]
    pub photos: Vec<PathBuf>,
    /// What is checked.
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Sizes of the checkpoint that is measured; its weights are random and made on the device.
    #[arg(long, value_parser = PRESETS, default_value = "qwen2.5-vl-3b")]
    pub preset: String,
    /// Precision of its weights.
    #[arg(long, value_enum, default_value = "bf16")]
    pub dtype: DtypeArg,
    /// Do some parts alone.
    #[arg(long, value_enum, value_name = "PART", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Answers that are decoded together.
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,8,32,128", value_parser = count)]
    pub batch: Vec<usize>,
    /// Tokens of an answer, at least 2.
    #[arg(long, value_name = "N", default_value = "64", value_parser = several)]
    pub new_tokens: usize,
    /// Side of the square photos, in pixels.
    #[arg(long, value_name = "PIXELS", default_value = "448", value_parser = clap::value_parser!(u32).range(56..=4096))]
    pub photo_side: u32,
    /// Rounds that a median is taken of.
    #[arg(long, value_name = "N", default_value = "5", value_parser = count)]
    pub rounds: usize,
    /// Side of the square matrices whose product is the ceiling.
    #[arg(long, value_name = "N", default_value = "8192", value_parser = count)]
    pub matmul_side: usize,
    /// What is copied for the other ceiling, in MiB.
    #[arg(long, value_name = "MIB", default_value = "2048", value_parser = count)]
    pub copy_mib: usize,
    /// Samples of a step of fine-tuning.
    #[arg(long, value_name = "N", default_value = "8", value_parser = count)]
    pub sft_samples: usize,
    /// Questions of a step of TAPO; each gets five answers from each of two pictures.
    #[arg(long, value_name = "N", default_value = "8", value_parser = count)]
    pub tapo_questions: usize,
    /// A Python with torch and transformers, to be measured on the same device.
    #[arg(long, value_name = "PYTHON")]
    pub torch: Option<PathBuf>,
    /// The script that measures torch.
    #[arg(long, value_name = "FILE.py", default_value = "tests/reference/gpu_peer.py")]
    pub torch_script: PathBuf,
    /// Folder for gpu-check.md and gpu-check.json, written after every part.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// One JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

fn count(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

fn several(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= least)
        .ok_or_else(|| format!("must be a whole number of at least {least}"))
}
