//! Checkpoint files to weights and back: safetensors, one file or many, both naming layouts.

mod adapter;
mod load;
mod names;
mod precision;
mod save;
mod shards;

pub use adapter::{ADAPTER_FILE, attach_adapter, encode_adapter};
pub use load::{LoadReport, Loader, NameCheck, check_names};
pub use names::{
    EMBEDDING, HEAD, is_adapter, name_of_peft, newer_name, peft_name, published_name, stored_module,
    stored_name,
};
pub use precision::Precision;
pub use save::{Shard, encode_shard, plan_shards, shard_index};
pub use shards::{
    LENGTH_FIELD, ShardIndex, TensorFacts, TensorPlace, WeightsError, header_length, read_header, read_places,
};
