//! Kernels of our own on a GPU (or a software one), each beside the plain path on the processor.
//!
//! `cargo xtask test --kernels`; with Mesa's software Vulkan (Debian: `mesa-vulkan-drivers`) a machine without a GPU will
//! do.

mod decode_attention;
mod gemv;
mod norm;
mod quantized;
mod rotary;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{DType, Device, DeviceKind, Tensor, TensorData};
use fine_r1_tests::numbers;
use std::sync::OnceLock;

/// The order of sums, in f32.
const OTHER_ORDER: f32 = 2e-5;

/// Where kernels run.
fn gpu() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

/// The same with as few buffers for a kernel as WebGPU promises anywhere.
fn gpu_with_few_buffers() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || {
        let instance = wgpu::Instance::default();
        let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))
            .expect("an adapter");
        let required_limits = wgpu::Limits {
            max_storage_buffers_per_shader_stage: wgpu::Limits::default()
                .max_storage_buffers_per_shader_stage,
            ..adapter.limits()
        };
        // CubeCL goes by what the adapter can do.
        let required_features = adapter.features().intersection(wgpu::Features::SHADER_INT64);
        let wanted = wgpu::DeviceDescriptor {
            required_features,
            required_limits,
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&wanted)).expect("a device");
        let backend = adapter.get_info().backend;
        Device::wgpu_options()
            .setup(WgpuSetup { instance, adapter, device, queue, backend })
            .init()
            .expect("a runtime")
    };
    DEVICE.get_or_init(open).clone()
}

/// The same tensor on the device and on the processor.
fn both<const D: usize>(shape: [usize; D], seed: u32) -> [Tensor<D>; 2] {
    both_on(&gpu(), shape, seed)
}

/// The same tensor on one of the devices and on the processor.
fn both_on<const D: usize>(gpu: &Device, shape: [usize; D], seed: u32) -> [Tensor<D>; 2] {
    let data = TensorData::new(numbers(shape.iter().product(), seed), shape);
    [gpu.clone(), Device::flex()].map(|device| Tensor::from_data(data.clone(), (&device, DType::F32)))
}

/// # Panics
/// A number is further from the expected one than the order of sums explains, by the largest of them.
#[track_caller]
fn assert_close<const D: usize>(what: &str, found: Tensor<D>, expected: Tensor<D>) {
    assert_eq!(found.dims(), expected.dims(), "{what}");
    let [found, expected] =
        [found, expected].map(|tensor| tensor.into_data().iter::<f32>().collect::<Vec<f32>>());
    let scale = expected.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    assert!(scale > 0.0, "{what}: nothing to compare");
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let apart = (found - expected).abs() / scale;
        assert!(apart <= OTHER_ORDER, "{what}, number {index}: {found}, expected {expected}");
    }
}
