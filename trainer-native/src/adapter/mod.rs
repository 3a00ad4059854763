//! Adapters: a few trained numbers beside a frozen model, in the layout of PEFT.
//!
//! LoRA, rsLoRA and DoRA, on weights as they are or, as QLoRA, on quantised ones:
//! <https://arxiv.org/abs/2305.14314>. The arithmetic is the core's
//! ([`fine_r1_core::model::LowRank`]); here is what is adapted, how it begins, and how it is stored.

mod begin;
mod config;
mod folder;
mod quantized;
mod settings;
mod target;
#[cfg(test)]
mod training;
mod whole;

pub use begin::{Adapting, adapt, begin, chosen_layers, drop_out};
pub use config::AdapterConfig;
pub use folder::{CONFIG_FILE, attach, load_recognizer, save};
pub use quantized::{LinearMap, QuantizationType, record};
pub use settings::{AdapterSettings, FinetuningType};
pub use whole::is_within;
