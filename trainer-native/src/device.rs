//! Where the model runs. The only file that knows which backends this build has.

use crate::adapter::{LinearMap, record};
use anyhow::{Result, bail};
use burn::tensor::{Device, Tensor};
use clap::ValueEnum;
use fine_r1_core::weights::Precision;
use std::sync::Arc;

/// What was asked for with `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DeviceChoice {
    /// The fastest that this build and this machine have.
    #[default]
    Auto,
    /// The processor.
    Flex,
    /// An NVIDIA GPU.
    Cuda,
    /// A GPU through Vulkan.
    Vulkan,
}

/// A device that was opened.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The handle.
    pub device: Device,
    /// What results call it.
    pub name: &'static str,
    /// In which precision weights are loaded; `None` keeps what the files have.
    pub precision: Option<Precision>,
}

/// Opens the device.
///
/// # Errors
/// This build does not have the backend.
pub fn open(choice: DeviceChoice) -> Result<OpenDevice> {
    match choice {
        DeviceChoice::Auto => automatic(),
        DeviceChoice::Flex => flex(),
        DeviceChoice::Cuda => cuda(),
        DeviceChoice::Vulkan => vulkan(),
    }
}

/// A device that only holds weights on their way from file to file, as the files have them.
///
/// # Errors
/// This build has no backend for the processor.
pub fn storage() -> Result<OpenDevice> {
    Ok(OpenDevice { precision: None, ..flex()? })
}

/// Applies a linear map on whichever backend holds the input; where that records, gradients flow
/// through it.
///
/// # Shapes
/// - input: `[rows, in]`
/// - output: `[rows, out]`
///
/// # Panics
/// The input records on a backend that [`open`] does not give.
pub fn apply(input: Tensor<2>, map: &Arc<dyn LinearMap>) -> Tensor<2> {
    if !input.is_autodiff() {
        return map.forward(input);
    }
    #[cfg(feature = "flex")]
    if let Some(output) = record::<burn::backend::Flex>(input.clone(), map) {
        return output;
    }
    #[cfg(any(feature = "cuda", feature = "vulkan"))]
    if let Some(output) = record::<burn::backend::Cube>(input.clone(), map) {
        return output;
    }
    panic!("no backend of this build holds a tensor of {:?}", input.device());
}

fn automatic() -> Result<OpenDevice> {
    if cfg!(feature = "cuda") {
        cuda()
    } else if cfg!(feature = "vulkan") {
        vulkan()
    } else {
        flex()
    }
}

#[cfg(feature = "flex")]
#[expect(clippy::unnecessary_wraps, reason = "a build without this backend answers with an error")]
fn flex() -> Result<OpenDevice> {
    // Products of 16-bit weights are slower than f32 on processors.
    Ok(OpenDevice { device: Device::flex(), name: "flex", precision: Some(Precision::F32) })
}

#[cfg(not(feature = "flex"))]
fn flex() -> Result<OpenDevice> {
    absent("flex")
}

#[cfg(feature = "cuda")]
#[expect(clippy::unnecessary_wraps, reason = "a build without this backend answers with an error")]
fn cuda() -> Result<OpenDevice> {
    Ok(OpenDevice { device: Device::cuda(0), name: "cuda", precision: None })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<OpenDevice> {
    absent("cuda")
}

#[cfg(feature = "vulkan")]
#[expect(clippy::unnecessary_wraps, reason = "a build without this backend answers with an error")]
fn vulkan() -> Result<OpenDevice> {
    use burn::tensor::DeviceKind;
    // WGSL and many drivers have no bf16 arithmetic.
    let device = Device::vulkan(DeviceKind::DefaultDevice);
    Ok(OpenDevice { device, name: "vulkan", precision: Some(Precision::F32) })
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<OpenDevice> {
    absent("vulkan")
}

#[cfg(not(all(feature = "flex", feature = "cuda", feature = "vulkan")))]
fn absent(name: &str) -> Result<OpenDevice> {
    bail!(
        "this build has no `{name}` device\nhint: build it with `cargo build --release -p trainer-native --features {name}`, \
         or leave out --device"
    )
}
