//! Fine-R1: a vision-language model of the Qwen2.5-VL family that looks at a photo, reasons aloud and
//! names the fine-grained category.
//!
//! This crate is the model and everything needed to ask it a question. It is given bytes and a
//! [`burn::tensor::Device`]; it opens no files, starts no threads, reads no clock, waits for no
//! device and chooses no backend.

pub mod config;
pub mod contrastive;
pub mod embed;
pub mod generate;
pub mod image;
#[cfg(feature = "kernels")]
pub mod kernels;
pub mod model;
#[cfg(feature = "passes")]
pub mod passes;
pub mod prompt;
pub mod reasoning;
pub mod recognizer;
pub mod weights;
