//! `gpu-check`: a device held against the processor, and measured.

use crate::cli::GpuCheckArgs;
use crate::gpu_check::{self, Load, Settings, Torch};
use anyhow::{Result, bail};
use std::io::{Write, stdout};

/// Checks and measures; the table, or one JSON object, goes to stdout.
///
/// # Errors
/// The device cannot be opened; or, after the table is written, something did not pass.
pub fn run(arguments: &GpuCheckArgs) -> Result<()> {
    let load = Load {
        batches: arguments.batch.clone(),
        new_tokens: arguments.new_tokens,
        photo_side: arguments.photo_side,
        rounds: arguments.rounds,
        matmul_side: arguments.matmul_side,
        copy_mib: arguments.copy_mib,
        sft_samples: arguments.sft_samples,
        tapo_questions: arguments.tapo_questions,
    };
    let torch = arguments
        .torch
        .as_ref()
        .map(|python| Torch { python: python.clone(), script: arguments.torch_script.clone() });
    let settings = Settings {
        device: arguments.device,
        preset: arguments.preset.clone(),
        precision: arguments.dtype.into(),
        photos: arguments.photos.clone(),
        load,
        only: arguments.only.clone(),
        torch,
        out: arguments.out.clone(),
    };
    let report = gpu_check::run(&settings)?;
    let mut out = stdout().lock();
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", report.markdown())?;
    }
    if !report.passed() {
        bail!("not everything passed\nhint: the table says what failed; --only repeats a part");
    }
    Ok(())
}
