//! Where the model runs in the browser: the only file here that names a backend.
//!
//! Each of the two builds has one backend. Which build is loaded is decided in `js/device.js`, before
//! any of them is there.

#[cfg(all(feature = "webgpu", target_family = "wasm"))]
mod constructors;

use crate::protocol::{DeviceReport, Failure};
use burn::tensor::Device;
use fine_r1_core::weights::Precision;

/// An open device.
#[derive(Debug, Clone)]
pub struct OpenDevice {
    /// The handle.
    pub device: Device,
    /// The precision of the weights on it.
    pub precision: Precision,
}

/// Opens the processor.
///
/// # Errors
/// None.
#[cfg(feature = "cpu")]
#[expect(clippy::unused_async, reason = "the build for WebGPU has to wait")]
pub async fn open(_report: &DeviceReport) -> Result<OpenDevice, Failure> {
    // Products of 16-bit weights are slower than f32 on processors.
    Ok(OpenDevice { device: Device::flex(), precision: Precision::F32 })
}

/// Opens the adapter that `report` describes.
///
/// # Errors
/// The browser gives no device.
#[cfg(all(feature = "webgpu", not(feature = "cpu")))]
pub async fn open(report: &DeviceReport) -> Result<OpenDevice, Failure> {
    use crate::events::failure;
    use crate::protocol::codes;
    use burn::tensor::wgpu::{WgpuBackend, WgpuInitError};
    use std::cell::RefCell;

    thread_local! {
        /// The runtime can be set up once; models come and go on it.
        static DEVICE: RefCell<Option<Device>> = const { RefCell::new(None) };
    }
    let present = DEVICE.with_borrow(Clone::clone);
    let device = match present {
        Some(device) => device,
        None => {
            let device =
                Device::wgpu_options().graphics_api(WgpuBackend::WebGpu).init_async().await.map_err(
                    |error: WgpuInitError| {
                        failure(
                            codes::NO_ADAPTER,
                            format!("WebGPU gives no device: {error}"),
                            "choose the processor, or update the browser and the graphics driver",
                        )
                    },
                )?;
            DEVICE.with_borrow_mut(|slot| *slot = Some(device.clone()));
            device
        }
    };
    let precision = if report.has_f16 { Precision::F16 } else { Precision::F32 };
    Ok(OpenDevice { device, precision })
}
