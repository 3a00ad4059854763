//! Looks for what CUDA needs before burn does, which panics.

use super::requirements::Found;
use cubecl::cuda::install::cuda_path;
use cudarc::driver::{result, sys};
use cudarc::nvrtc::sys as nvrtc;

/// What this machine has.
#[must_use]
pub fn probe() -> Found {
    let install = cuda_path();
    // SAFETY: loading a library runs its initialisers; these are NVIDIA's, which burn loads as well.
    let (driver, compiler) = unsafe { (sys::is_culib_present(), nvrtc::is_culib_present()) };
    let mut found = Found { driver, install, ..Found::default() };
    if !driver {
        return found;
    }
    found.nvrtc = if compiler { nvrtc_version() } else { None };
    match result::init().and_then(|()| result::device::get_count()) {
        Ok(count) => {
            found.gpus = usize::try_from(count).unwrap_or_default();
            found.driver_cuda = driver_version();
        }
        Err(error) => found.refusal = Some(error.to_string()),
    }
    found
}

fn driver_version() -> (u32, u32) {
    let mut version = 0;
    // SAFETY: the driver is loaded and writes one number, which outlives the call.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    let version = status.result().ok().and_then(|()| u32::try_from(version).ok()).unwrap_or_default();
    // 13.0 is told as 13000.
    (version / 1000, version % 1000 / 10)
}

fn nvrtc_version() -> Option<(u32, u32)> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the library is loaded and writes two numbers, which outlive the call.
    let status = unsafe { nvrtc::nvrtcVersion(&raw mut major, &raw mut minor) };
    (status == nvrtc::nvrtcResult::NVRTC_SUCCESS)
        .then(|| Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?)))
        .flatten()
}
