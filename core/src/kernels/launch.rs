//! How kernels are laid over a device.

use burn::backend::DispatchDevice;
use burn::tensor::Tensor;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::ir::features::Plane;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

/// Units of a cube that reduces a row: a power of two that every device has, WebGPU's default limit.
pub const UNITS: u32 = 256;
/// Most cubes along one axis.
const MAX_CUBES: u32 = 65_535;

/// Whether gradients may be taken of what is done with a tensor; kernels here have none.
#[must_use]
pub fn is_recorded<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.is_autodiff()
}

/// Whether a tensor lies on a GPU and is not recorded.
#[must_use]
pub fn is_on_gpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    !is_recorded(tensor) && matches!(tensor.device().as_dispatch(), DispatchDevice::Cube(_))
}

/// So many cubes, over two axes where one is too short; a kernel must leave out those beyond `count`.
#[must_use]
pub fn cubes(count: usize) -> CubeCount {
    let count = count as u32;
    let x = count.clamp(1, MAX_CUBES);
    CubeCount::Static(x, count.div_ceil(x).max(1), 1)
}

/// Whether units that follow one another are grouped by so many, and can add up without shared memory.
#[must_use]
pub fn has_planes_of(client: &Client, units: u32) -> bool {
    let (features, hardware) = (&client.properties().features, &client.properties().hardware);
    features.plane.contains(Plane::Ops)
        && hardware.plane_size_min == units
        && hardware.plane_size_max == units
}

/// Whether a kernel may have so many tensors and a buffer of their sizes: WebGPU promises eight buffers in all.
#[must_use]
pub fn can_bind(client: &Client, tensors: u32) -> bool {
    tensors < client.properties().hardware.max_bindings
}

/// Numbers that a unit reads at once along the last axis of contiguous tensors, which all must allow.
#[must_use]
pub fn vector_size(tensors: &[&CubeTensor]) -> usize {
    let of_one = |tensor: &&CubeTensor| {
        let shape = tensor.meta.shape();
        let last = shape[shape.num_dims() - 1];
        tensor
            .client
            .io_optimized_vector_sizes(tensor.dtype.size())
            .filter(|size| last.is_multiple_of(*size))
            .max()
    };
    tensors.iter().map(|tensor| of_one(tensor).unwrap_or(1)).min().unwrap_or(1)
}

/// The sum of what all units of a one-dimensional cube have; every unit gets it.
#[cube]
pub fn sum_over_cube(value: f32, #[comptime] units: u32) -> f32 {
    reduce_over_cube(value, units, false)
}

/// The largest of what all units of a one-dimensional cube have; every unit gets it.
#[cube]
pub fn max_over_cube(value: f32, #[comptime] units: u32) -> f32 {
    reduce_over_cube(value, units, true)
}

#[cube]
fn reduce_over_cube(value: f32, #[comptime] units: u32, #[comptime] takes_largest: bool) -> f32 {
    let mut shared = Shared::<[f32]>::new_slice(units as usize);
    shared[UNIT_POS_X as usize] = value;
    sync_cube();
    let mut width = (units / 2).runtime();
    while width > 0 {
        if UNIT_POS_X < width {
            let other = shared[(UNIT_POS_X + width) as usize];
            let own = shared[UNIT_POS_X as usize];
            if comptime!(takes_largest) {
                shared[UNIT_POS_X as usize] = max(own, other);
            } else {
                shared[UNIT_POS_X as usize] = own + other;
            }
        }
        sync_cube();
        width /= 2;
    }
    let reduced = shared[0];
    // Nobody writes here again before all have read.
    sync_cube();
    reduced
}
