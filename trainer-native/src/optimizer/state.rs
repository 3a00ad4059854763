//! The optimizer's memory as a safetensors file, written and read tensor by tensor.

use super::{AdamW, AdamWConfig, Memory};
use crate::streamed::Streamed;
use anyhow::{Context, Result, bail};
use burn::tensor::{DType, Device, Tensor, TensorData};
use safetensors::{SafeTensors, serialize_to_file};
use std::path::Path;

/// The kinds of tensors that a weight's memory has, as the file calls them.
const KINDS: [&str; 4] = ["first", "second", "master", "average"];

impl Memory {
    fn kind(&self, kind: &str) -> Option<&Tensor<1>> {
        match kind {
            "first" => self.first.as_ref(),
            "second" => self.second.as_ref(),
            "master" => self.master.as_ref(),
            _ => self.average.as_ref(),
        }
    }

    fn kind_mut(&mut self, kind: &str) -> &mut Option<Tensor<1>> {
        match kind {
            "first" => &mut self.first,
            "second" => &mut self.second,
            "master" => &mut self.master,
            _ => &mut self.average,
        }
    }
}

impl AdamW {
    /// Writes the state as a safetensors file: `KIND.NAME` for every weight, flattened.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let waiting = self.memories.iter().flat_map(|(name, memory)| {
            KINDS.iter().filter_map(move |kind| {
                let tensor = memory.kind(kind)?;
                let shape = tensor.dims().to_vec();
                Some((format!("{kind}.{name}"), Streamed::new(tensor.clone(), shape, DType::F32)))
            })
        });
        let metadata = [("step".to_owned(), self.step.to_string())].into();
        Ok(serialize_to_file(waiting, Some(metadata), path)?)
    }

    /// Reads the state back.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn load(config: AdamWConfig, bytes: &[u8], device: &Device) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).context("damaged optimizer state")?;
        let step = header
            .metadata()
            .as_ref()
            .and_then(|fields| fields.get("step"))
            .and_then(|step| step.parse().ok());
        let Some(step) = step else { bail!("the optimizer state does not say how many steps it has seen") };
        let file = SafeTensors::deserialize(bytes).context("damaged optimizer state")?;
        let mut optimizer = Self { step, ..Self::new(config) };
        for (name, view) in file.iter() {
            let Some((kind, parameter)) = name.split_once('.').filter(|(kind, _)| KINDS.contains(kind))
            else {
                bail!("the optimizer state has a tensor `{name}`");
            };
            let values: Vec<f32> =
                view.data().as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
            let count = values.len();
            let tensor = Tensor::from_data(TensorData::new(values, [count]), device);
            *optimizer.memories.entry(parameter.to_owned()).or_default().kind_mut(kind) = Some(tensor);
        }
        Ok(optimizer)
    }
}
