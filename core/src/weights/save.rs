//! Writes a model in the published layout: safetensors shards and their index.

use super::load::{enter, exit};
use super::{Precision, stored_name};
use crate::model::VisionLanguageModel;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{ExecutionError, Tensor};
use safetensors::tensor::TensorView;
use serde_json::json;

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// Name of the file.
    pub file: String,
    /// Stored names of its tensors.
    pub tensors: Vec<String>,
    /// Bytes of its tensors.
    pub bytes: usize,
}

/// A parameter flattened to one axis, with the shape it has.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    values: Tensor<1>,
}

/// Decides which tensors go into which file; a file holds up to `max_bytes`, or one larger tensor.
#[must_use]
pub fn plan_shards(model: &VisionLanguageModel, precision: Precision, max_bytes: usize) -> Vec<Shard> {
    let mut shards: Vec<Shard> = Vec::new();
    for (name, shape) in super::load::parameter_shapes(model) {
        let bytes = shape.iter().product::<usize>() * precision.bytes();
        match shards.last_mut() {
            Some(shard) if shard.bytes + bytes <= max_bytes => {
                shard.tensors.push(name);
                shard.bytes += bytes;
            }
            _ => shards.push(Shard { file: String::new(), tensors: vec![name], bytes }),
        }
    }
    let count = shards.len();
    for (index, shard) in shards.iter_mut().enumerate() {
        shard.file = match count {
            1 => super::ShardIndex::SINGLE.to_owned(),
            _ => format!("model-{:05}-of-{count:05}.safetensors", index + 1),
        };
    }
    shards
}

/// The text of `model.safetensors.index.json`, or `None` for a single file, which needs none.
#[must_use]
pub fn shard_index(shards: &[Shard]) -> Option<String> {
    if shards.len() < 2 {
        return None;
    }
    let map: serde_json::Map<String, serde_json::Value> = shards
        .iter()
        .flat_map(|shard| shard.tensors.iter().map(|name| (name.clone(), json!(shard.file))))
        .collect();
    let total: usize = shards.iter().map(|shard| shard.bytes).sum();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    Some(serde_json::to_string_pretty(&index).unwrap_or_default() + "\n")
}

/// The bytes of one file.
///
/// # Errors
/// The device failed to hand out a tensor.
///
/// # Panics
/// Never: shapes and bytes come from the same tensors.
pub async fn encode_shard(
    model: &VisionLanguageModel,
    shard: &Shard,
    precision: Precision,
) -> Result<Vec<u8>, ExecutionError> {
    let mut collect = Collect { path: Vec::new(), wanted: &shard.tensors, found: Vec::new() };
    model.visit(&mut collect);
    let mut encoded = Vec::with_capacity(collect.found.len());
    for parameter in collect.found {
        let data = parameter.values.into_data_async().await?;
        encoded.push((parameter.name, parameter.shape, precision.encode(data)));
    }
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(precision.stored(), shape.clone(), bytes)
            .expect("as many bytes as the shape says");
        (name.as_str(), view)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(safetensors::serialize(views, Some(metadata)).expect("a small header"))
}

struct Collect<'shard> {
    path: Vec<String>,
    wanted: &'shard [String],
    found: Vec<Parameter>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        exit(&mut self.path, container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = stored_name(&self.path.join("."));
        if self.wanted.contains(&name) {
            let value = param.val();
            let shape = value.dims().to_vec();
            let count = shape.iter().product::<usize>();
            self.found.push(Parameter { name, shape, values: value.reshape([count]) });
        }
    }
}
