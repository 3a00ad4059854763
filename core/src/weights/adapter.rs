//! What is trained in place of a model, to bytes and back: safetensors under PEFT's names.
//!
//! Layout: <https://github.com/huggingface/peft/blob/v0.18.0/docs/source/developer_guides/checkpoint.md>.

use super::load::{enter, exit};
use super::names::{is_adapter, name_of_peft, peft_name};
use super::shards::parse;
use super::{Precision, WeightsError, stored_name};
use crate::model::{Linear, LowRank, Magnitude, VisionLanguageModel};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, ExecutionError, Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::collections::BTreeMap;

/// Name of an adapter's weight file in its folder.
pub const ADAPTER_FILE: &str = "adapter_model.safetensors";

/// The bytes of [`ADAPTER_FILE`]: the adapters, and every parameter that `is_trained_whole` names as
/// trained beside them, by its stored name, in f32.
///
/// # Errors
/// The device failed to hand out a tensor.
///
/// # Panics
/// Never: shapes and bytes come from the same tensors.
pub async fn encode_adapter(
    model: &VisionLanguageModel,
    is_trained_whole: impl Fn(&str) -> bool,
) -> Result<Vec<u8>, ExecutionError> {
    let mut trained = Trained { path: Vec::new(), is_trained_whole, found: Vec::new() };
    model.visit(&mut trained);
    let mut encoded = Vec::with_capacity(trained.found.len());
    for (name, shape, values) in trained.found {
        let bytes = Precision::F32.encode(values.into_data_async().await?);
        encoded.push((peft_name(&name), shape, bytes));
    }
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many bytes as the shape says");
        (name.as_str(), view)
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(safetensors::serialize(views, Some(metadata)).expect("a small header"))
}

/// Gives a model the changes that [`ADAPTER_FILE`] holds: low-rank factors beside their layers, and
/// what was trained as a whole in the place of what was there. `scale` tells the factor of a rank.
///
/// # Errors
/// The file is damaged, holds nothing, or what it holds does not fit the model.
pub fn attach_adapter(
    mut model: VisionLanguageModel,
    file: &str,
    bytes: &[u8],
    scale: impl Fn(usize) -> f64,
) -> Result<VisionLanguageModel, WeightsError> {
    let mut tensors = Tensors::read(file, bytes)?;
    let device = model.device();
    for (name, linear) in model.linears_mut() {
        attach(&name, linear, &mut tensors, &scale, &device)?;
    }
    let mut fill = Fill { path: Vec::new(), tensors, misshaped: None };
    let model = model.map(&mut fill);
    if let Some(error) = fill.misshaped {
        return Err(error);
    }
    match fill.tensors.left.into_keys().next() {
        Some(tensor) => Err(WeightsError::AdapterStranger { tensor: peft_name(&tensor) }),
        None => Ok(model),
    }
}

fn attach(
    name: &str,
    linear: &mut Linear,
    tensors: &mut Tensors,
    scale: &impl Fn(usize) -> f64,
    device: &Device,
) -> Result<(), WeightsError> {
    let [a, b, magnitude] =
        ["lora_a", "lora_b", "magnitude.weight"].map(|part| format!("{name}.adapter.{part}"));
    if ![&a, &b, &magnitude].iter().any(|part| tensors.left.contains_key(*part)) {
        return Ok(());
    }
    let [output, input] = linear.dims();
    let rank = tensors.left.get(&a).map_or(0, |data| data.shape()[0]);
    let upload = |data: TensorData| (data, (device, DType::F32));
    let lora_a = upload(tensors.take(&a, &[rank, input])?);
    let lora_b = upload(tensors.take(&b, &[output, rank])?);
    let magnitude = match tensors.left.contains_key(&magnitude) {
        true => {
            let (data, options) = upload(tensors.take(&magnitude, &[output])?);
            Some(Magnitude::new(Tensor::from_data(data, options), linear.row_squares()))
        }
        false => None,
    };
    linear.adapter = Some(LowRank::new(
        Tensor::from_data(lora_a.0, lora_a.1),
        Tensor::from_data(lora_b.0, lora_b.1),
        scale(rank),
        magnitude,
    ));
    Ok(())
}

/// What a file holds, by stored name, in f32.
struct Tensors {
    left: BTreeMap<String, TensorData>,
}

impl Tensors {
    fn read(file: &str, bytes: &[u8]) -> Result<Self, WeightsError> {
        let mut left = BTreeMap::new();
        for (name, view) in parse(file, bytes)?.iter() {
            let stored = name_of_peft(name)
                .ok_or_else(|| WeightsError::AdapterStranger { tensor: name.to_owned() })?;
            let precision = Precision::of_stored(name, view.dtype())?;
            left.insert(stored, precision.convert(view.data(), view.shape(), Precision::F32));
        }
        if left.is_empty() {
            return Err(WeightsError::AdapterEmpty { file: file.to_owned() });
        }
        Ok(Self { left })
    }

    fn take(&mut self, name: &str, expected: &[usize]) -> Result<TensorData, WeightsError> {
        let data = self
            .left
            .remove(name)
            .ok_or_else(|| WeightsError::AdapterIncomplete { tensor: peft_name(name) })?;
        fits(name, &data, expected)?;
        Ok(data)
    }
}

fn fits(name: &str, data: &TensorData, expected: &[usize]) -> Result<(), WeightsError> {
    let found = data.shape().to_vec();
    match found == expected && !found.contains(&0) {
        true => Ok(()),
        false => {
            Err(WeightsError::AdapterShape { tensor: peft_name(name), expected: expected.to_vec(), found })
        }
    }
}

/// Puts tensors that were trained as a whole in their places.
struct Fill {
    path: Vec<String>,
    tensors: Tensors,
    misshaped: Option<WeightsError>,
}

impl ModuleMapper for Fill {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        exit(&mut self.path, container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = stored_name(&self.path.join("."));
        let Some(data) = self.tensors.left.remove(&name) else { return param };
        if let Err(error) = fits(&name, &data, &param.lazy_shape()) {
            self.misshaped.get_or_insert(error);
            return param;
        }
        let (id, value, mapper) = param.consume();
        let tensor = Tensor::from_data(data, (&value.device(), value.dtype()));
        let tensor = tensor.set_require_grad(value.is_require_grad());
        Param::from_mapped_value(id, tensor, mapper)
    }
}

/// Collects the parameters that are trained, flattened, with their shapes.
struct Trained<F> {
    path: Vec<String>,
    is_trained_whole: F,
    found: Vec<(String, Vec<usize>, Tensor<1>)>,
}

impl<F: Fn(&str) -> bool> ModuleVisitor for Trained<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        exit(&mut self.path, container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = stored_name(&self.path.join("."));
        if is_adapter(&name) || (self.is_trained_whole)(&name) {
            let value = param.val();
            let shape = value.dims().to_vec();
            let count = shape.iter().product::<usize>();
            self.found.push((name, shape, value.inner().reshape([count])));
        }
    }
}
