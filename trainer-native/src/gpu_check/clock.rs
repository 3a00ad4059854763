//! How long work takes on a device that runs behind the program.

use burn::tensor::Device;
use std::time::Instant;

/// Rounds before the first that counts: kernels are compiled and chosen in them.
const WARM_UPS: usize = 2;

/// The median of the seconds that work takes, the device's part included. What it gives is kept until the device has
/// made it: what is dropped before may never be computed.
///
/// # Errors
/// What the work fails with.
///
/// # Panics
/// The device failed.
pub fn median_secs<T, E>(
    device: &Device,
    rounds: usize,
    mut work: impl FnMut() -> Result<T, E>,
) -> Result<f64, E> {
    let mut secs = Vec::with_capacity(rounds);
    for round in 0..WARM_UPS + rounds {
        wait(device);
        let begun = Instant::now();
        let made = work()?;
        wait(device);
        drop(made);
        if round >= WARM_UPS {
            secs.push(begun.elapsed().as_secs_f64());
        }
    }
    Ok(median(secs))
}

/// The middle one, or the mean of the two in the middle.
///
/// # Panics
/// There is none.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len().is_multiple_of(2) {
        f64::midpoint(numbers[middle - 1], numbers[middle])
    } else {
        numbers[middle]
    }
}

/// Waits until the device has done everything that it was given.
///
/// # Panics
/// The device failed.
pub fn wait(device: &Device) {
    device.sync().expect("the device finishes its work");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_ups_do_not_count_and_outliers_do_not_matter() {
        assert_eq!(median(vec![5.0, 1.0, 900.0]), 5.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 900.0]), 3.0);
        let mut runs = 0;
        let secs = median_secs::<_, ()>(&Device::flex(), 3, || {
            runs += 1;
            Ok(())
        });
        assert!(secs.expect("nothing fails") < 1.0);
        assert_eq!(runs, 3 + WARM_UPS);
    }
}
