//! What the device's memory and its products give: nothing that a model does can be faster.

use super::clock::median_secs;
use super::load::Sizes;
use super::report::Measurement;
use anyhow::Result;
use burn::tensor::{Device, Distribution, Tensor};
use fine_r1_core::weights::Precision;
use std::convert::Infallible;

/// The two ceilings.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ceilings {
    /// Bytes a second that are read and written.
    pub bytes_per_sec: Option<f64>,
    /// Multiplications and additions a second.
    pub flops: Option<f64>,
}

/// A copy, a product of squares, and a product with one row, which is what decoding is made of.
///
/// # Errors
/// None; what fails panics.
pub fn measure(sizes: &Sizes, device: &Device) -> Result<Vec<Measurement>> {
    Ok(vec![copy(sizes, device), matmul(sizes, device), gemv(sizes, device)])
}

/// The ceilings among measurements.
#[must_use]
pub fn find(measurements: &[Measurement]) -> Ceilings {
    let value = |what: &str| measurements.iter().find(|one| one.what == what).map(|one| one.value);
    Ceilings {
        bytes_per_sec: value(COPY).map(|value| value * 1e9),
        flops: value(MATMUL).map(|value| value * 1e12),
    }
}

const COPY: &str = "copy";
const MATMUL: &str = "matmul";

fn copy(sizes: &Sizes, device: &Device) -> Measurement {
    let size = sizes.precision.bytes();
    // Every number is read once and written once.
    let count = sizes.copy_bytes / size;
    let numbers = random([1, count], sizes.precision, device);
    let secs = seconds(device, sizes.rounds, || numbers.clone() * 2.0);
    Measurement::new(COPY, "GB/s", 2.0 * (count * size) as f64 / secs / 1e9, secs)
}

fn matmul(sizes: &Sizes, device: &Device) -> Measurement {
    let side = sizes.matmul_side;
    let [left, right] = [(); 2].map(|()| random([side, side], sizes.precision, device));
    let secs = seconds(device, sizes.rounds, || left.clone().matmul(right.clone()));
    Measurement::new(MATMUL, "TFLOP/s", 2.0 * (side as f64).powi(3) / secs / 1e12, secs)
}

fn gemv(sizes: &Sizes, device: &Device) -> Measurement {
    let side = sizes.matmul_side;
    // As weights lie: `[out, in]`.
    let weight = random([side, side], sizes.precision, device);
    let row = random([1, side], sizes.precision, device);
    let secs = seconds(device, sizes.rounds, || row.clone().matmul(weight.clone().transpose()));
    let bytes = (side * side * sizes.precision.bytes()) as f64;
    Measurement::new("product with one row", "GB/s", bytes / secs / 1e9, secs)
}

fn random(shape: [usize; 2], precision: Precision, device: &Device) -> Tensor<2> {
    Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), device).cast(precision.dtype())
}

fn seconds(device: &Device, rounds: usize, work: impl Fn() -> Tensor<2>) -> f64 {
    match median_secs(device, rounds, || Ok::<_, Infallible>(work())) {
        Ok(secs) => secs,
        Err(never) => match never {},
    }
}
