//! Measures a checkpoint on labelled photos: closed world with shuffled options, open world, and the
//! baselines that show what the figures are worth.
//!
//! Closed world: section 5.1 of the Fine-R1 paper, <https://arxiv.org/abs/2602.07605>. The released
//! evaluation files name the true class first in every row, so options are shuffled here by a seed.

mod baselines;
mod probe;
mod rows;
mod run;

pub use baselines::{always_first, random_choice};
pub use probe::{Probe, probe_accuracy};
pub use rows::{Row, read_rows};
pub use run::{Look, Setting, Tally, Task, measure};
