//! Parity with transformers, stage by stage, on the golden checkpoints.
//!
//! Every limit on a difference is named where it is used and stands about five times above the
//! largest difference that was found; run with `--nocapture` to see the differences.

mod batches;
mod contrastive;
mod decoding;
mod images;
mod language;
mod positions;
mod precision;
mod prompts;
mod vision;
mod weights;
