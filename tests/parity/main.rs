//! Parity with transformers, stage by stage, on the golden checkpoints.
//!
//! Every limit on a difference is named where it is used and stands about five times above the
//! largest difference that was found; run with `--nocapture` to see the differences.

mod adapters;
mod batches;
mod contrastive;
mod decoding;
mod images;
mod language;
mod packing;
mod passes;
mod positions;
mod precision;
mod prompts;
mod sentences;
mod vision;
mod weights;
