//! What a device may advertise where LLVM compiles for it.

use cubecl_core::ir::DeviceProperties;
use cubecl_core::ir::features::Features;

/// What is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuTarget {
    /// NVIDIA.
    Nvptx,
}

/// Takes away all features, as none can be compiled.
pub fn restrict_features(properties: &mut DeviceProperties, _target: GpuTarget) {
    properties.features = Features::default();
}
