//! `trainer-native`: make a Fine-R1 model better on this machine, ask it, and measure it.

mod adapter;
mod bounded;
mod checkpoint;
mod cli;
mod commands;
mod cot;
mod dataset;
mod device;
mod embedder;
mod entries;
mod estimate;
mod evaluate;
mod exact;
mod gpu_check;
mod journal;
mod optimizer;
mod progress;
mod rl;
mod run_folder;
mod sft;
mod streamed;
mod tied;
mod trainee;
mod trunk;
mod workers;

use libmimalloc_sys::{mi_option_set, mi_option_t};
use mimalloc::MiMalloc;
use std::process::ExitCode;

/// glibc hands every large tensor back to the kernel and has its pages cleared anew for the next one,
/// which made training half as slow again; this one keeps them once [`keep_memory`] was called.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_arena_eager_commit` and `mi_option_purge_delay`, which the bindings leave out:
/// <https://github.com/microsoft/mimalloc/blob/v3.1.5/include/mimalloc.h#L392-L404>.
const ARENA_EAGER_COMMIT: mi_option_t = 4;
const PURGE_DELAY: mi_option_t = 15;

/// Freed pages stay with the program: returned and taken again they cost a fifth of a training step.
fn keep_memory() {
    // SAFETY: both are options of the linked version and take any number; no other thread runs yet.
    unsafe {
        mi_option_set(ARENA_EAGER_COMMIT, 1);
        mi_option_set(PURGE_DELAY, -1);
    }
}

fn main() -> ExitCode {
    keep_memory();
    cli::run()
}
