//! How far a result of the device is from the processor's.

use super::parity::Pair;
use anyhow::{Result, anyhow};
use burn::tensor::{DType, Tensor};
use fine_r1_core::weights::Precision;
use serde::Serialize;

/// f32 on both sides: sums in another order, through the depth of the embedded model and back.
const F32: f64 = 1e-4;
/// Products of f32 from TF32: 2⁻¹¹ an operand, where f32 has 2⁻²⁴.
const TF32: f64 = 1e-2;
/// bf16 on the device, f32 on the processor, from equal weights: 2⁻⁹ a number, and residuals round every
/// block anew.
const BF16: f64 = 5e-2;

/// One result, computed twice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Which result.
    pub what: String,
    /// The device's precision.
    pub dtype: &'static str,
    /// Length of the difference over the length of the processor's result; without end where a number is
    /// none.
    pub error: f64,
    /// The largest that passes.
    pub tolerance: f64,
    /// Whether it does.
    pub passed: bool,
}

impl Comparison {
    /// Compares numbers; the tolerance is that of the pair.
    #[must_use]
    pub fn of_numbers(what: &str, pair: &Pair<'_>, found: &[f32], expected: &[f32]) -> Self {
        Self::new(what, pair, relative_error(found, expected), tolerance(pair))
    }

    /// Compares what must be the same; `alike` says whether it is.
    #[must_use]
    pub fn of_equals(what: &str, pair: &Pair<'_>, alike: bool) -> Self {
        Self::new(what, pair, if alike { 0.0 } else { f64::INFINITY }, 0.0)
    }

    /// Compares choices: `lost` is how much less likely the processor finds the first that the device makes
    /// otherwise. Only where numbers are rounded may it be anything, as little as their rounding explains.
    #[must_use]
    pub fn of_choices(what: &str, pair: &Pair<'_>, lost: f64) -> Self {
        let tolerance = Some(tolerance(pair)).filter(|tolerance| *tolerance > TF32).unwrap_or_default();
        Self::new(what, pair, lost, tolerance)
    }

    fn new(what: &str, pair: &Pair<'_>, error: f64, tolerance: f64) -> Self {
        let passed = error <= tolerance;
        Self { what: what.to_owned(), dtype: pair.precision.torch_name(), error, tolerance, passed }
    }
}

/// How far numbers of this pair may be apart.
#[must_use]
pub fn tolerance(pair: &Pair<'_>) -> f64 {
    match pair.precision {
        Precision::F32 if pair.device.has_tf32() => TF32,
        Precision::F32 => F32,
        Precision::F16 | Precision::Bf16 => BF16,
    }
}

/// `|found − expected| / |expected|`, Euclidean; without end where a number is none or the lists differ in
/// length.
fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() || expected.is_empty() {
        return f64::INFINITY;
    }
    let length =
        |squares: &mut dyn Iterator<Item = f64>| squares.map(|number| number * number).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let apart = length(&mut pairs.map(|(found, expected)| f64::from(*found) - f64::from(*expected)));
    let whole = length(&mut expected.iter().map(|number| f64::from(*number)));
    let error = if apart == 0.0 { 0.0 } else { apart / whole };
    if error.is_nan() { f64::INFINITY } else { error }
}

/// A tensor's numbers, read from its device.
///
/// # Errors
/// The device failed: with CUDA also where a kernel did not compile.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data =
        tensor.cast(DType::F32).try_into_data().map_err(|error| anyhow!("the device failed: {error:?}"))?;
    Ok(data.iter::<f32>().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_and_no_number_is_infinitely_far() {
        assert!((relative_error(&[3.0, 4.1], &[3.0, 4.0]) - 0.02).abs() < 1e-6);
        assert_eq!(relative_error(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(relative_error(&[1.0], &[0.0]), f64::INFINITY);
        assert_eq!(relative_error(&[f32::NAN, 1.0], &[1.0, 1.0]), f64::INFINITY);
        assert_eq!(relative_error(&[1.0], &[1.0, 1.0]), f64::INFINITY);
        assert_eq!(relative_error(&[], &[]), f64::INFINITY);
    }
}
