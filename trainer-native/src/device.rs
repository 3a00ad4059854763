//! Where the model runs. The only file that knows which backends this build has.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(any(feature = "cuda", test))]
mod requirements;

use crate::adapter::{LinearMap, record};
use anyhow::Result;
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

impl OpenDevice {
    /// What the machine calls it.
    #[must_use]
    pub fn hardware(&self) -> String {
        #[cfg(any(feature = "cuda", feature = "vulkan"))]
        if let Some(identity) = self.device.identity() {
            return identity.name;
        }
        format!("a processor with {} threads", rayon::current_num_threads())
    }

    /// Whether products of f32 are computed from TF32, which has 10 bits of mantissa: CubeCL's tensor cores
    /// on NVIDIA's GPUs.
    #[must_use]
    pub fn has_tf32(&self) -> bool {
        self.name == "cuda"
    }
}

/// Opens the device.
///
/// # Errors
/// This build does not have the backend, or this machine lacks what it needs; the message says what.
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

/// Whether networks of that precision are computed in passes of our own.
#[must_use]
pub fn has_passes(device: &Device, precision: Precision) -> bool {
    cfg!(feature = "flex") && computes_on_host(device) && precision == Precision::F32
}

/// Changes tensors of one length in place, a piece of all of them at a time, where they are f32 in the processor's
/// memory.
///
/// # Errors
/// The tensors as they were, on other devices.
#[cfg_attr(not(feature = "flex"), expect(unused_variables, reason = "no pass is there to do the work"))]
pub fn edit<const N: usize>(
    tensors: [Tensor<1>; N],
    work: impl Fn([&mut [f32]; N]) + Sync,
) -> Result<[Tensor<1>; N], [Tensor<1>; N]> {
    #[cfg(feature = "flex")]
    let tensors = fine_r1_core::passes::edit(tensors, work)?;
    #[cfg(not(feature = "flex"))]
    let tensors = Err(tensors)?;
    Ok(tensors)
}

/// `Σ xᵢ²`, `[1]`.
pub fn sum_of_squares(tensor: &Tensor<1>) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if let Some(sum) = fine_r1_core::passes::sum_of_squares(tensor) {
        return Tensor::from_floats([sum], &tensor.device());
    }
    tensor.clone().square().sum()
}

/// Whether a device's memory is the host's.
#[must_use]
pub fn computes_on_host(device: &Device) -> bool {
    #[cfg(any(feature = "cuda", feature = "vulkan"))]
    if matches!(device.clone().inner().as_dispatch(), burn::backend::DispatchDevice::Cube(_)) {
        return false;
    }
    let _ = device;
    true
}

/// The first of this build's backends for which the machine has everything.
fn automatic() -> Result<OpenDevice> {
    type Open = fn() -> Result<OpenDevice>;
    let backends: [(bool, Open); 2] = [(cfg!(feature = "cuda"), cuda), (cfg!(feature = "vulkan"), vulkan)];
    for (_, open) in backends.into_iter().filter(|(is_built, _)| *is_built) {
        match open() {
            Ok(device) => return Ok(device),
            Err(error) => eprintln!("note: {error}"),
        }
    }
    flex()
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
fn cuda() -> Result<OpenDevice> {
    // burn panics where something is missing.
    cuda::probe().check()?;
    Ok(OpenDevice { device: Device::cuda(0), name: "cuda", precision: None })
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<OpenDevice> {
    absent("cuda")
}

#[cfg(feature = "vulkan")]
fn vulkan() -> Result<OpenDevice> {
    use burn::tensor::wgpu::WgpuBackend;
    use std::sync::Mutex;

    /// The runtime can be set up once.
    static DEVICE: Mutex<Option<Device>> = Mutex::new(None);
    let mut opened = DEVICE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let device = match opened.clone() {
        Some(device) => device,
        None => Device::wgpu_options().graphics_api(WgpuBackend::Vulkan).init().map_err(|error| {
            anyhow::anyhow!(
                "Vulkan gives no device: {error}\n\
                 hint: `vulkaninfo --summary` must list a GPU; install its driver (Debian: mesa-vulkan-drivers, or \
                 NVIDIA's own), and in a container pass the GPU through"
            )
        })?,
    };
    *opened = Some(device.clone());
    // WGSL and many drivers have no bf16 arithmetic.
    Ok(OpenDevice { device, name: "vulkan", precision: Some(Precision::F32) })
}

#[cfg(not(feature = "vulkan"))]
fn vulkan() -> Result<OpenDevice> {
    absent("vulkan")
}

#[cfg(not(all(feature = "flex", feature = "cuda", feature = "vulkan")))]
fn absent(name: &str) -> Result<OpenDevice> {
    anyhow::bail!(
        "this build has no `{name}` device\nhint: build it with `cargo build --release -p trainer-native --features {name}`, \
         or leave out --device"
    )
}
