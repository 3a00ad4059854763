//! `evaluate`: placeholder until written.
use crate::cli::EvaluateArgs;
use anyhow::{Result, bail};
pub fn run(_arguments: &EvaluateArgs) -> Result<()> {
    bail!("not yet")
}
