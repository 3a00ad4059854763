//! `cot`: training conversations.

use crate::cli::{CotArgs, CotKind, Teacher};
use crate::cot::{FactsKind, FactsOptions, write_facts};
use anyhow::Result;

/// Writes the conversations and says how many.
///
/// # Errors
/// A file is missing or a row malformed.
pub fn run(arguments: &CotArgs) -> Result<()> {
    let Teacher::Facts = arguments.teacher;
    let report = write_facts(&FactsOptions {
        variants: arguments.variants.clone(),
        rows: arguments.images.clone(),
        image_root: arguments.image_root.clone(),
        out: arguments.out.clone(),
        kind: match arguments.kind {
            CotKind::Inventory => FactsKind::Inventory,
            CotKind::Caption => FactsKind::Caption,
            CotKind::Rationale => FactsKind::Rationale,
        },
        per_image: arguments.per_image,
        seed: arguments.seed,
    })?;
    eprintln!(
        "wrote {}: {} conversations, {} turns, {:.0} characters each",
        report.dataset_path.display(),
        report.conversations,
        report.turns,
        report.mean_characters
    );
    Ok(())
}
