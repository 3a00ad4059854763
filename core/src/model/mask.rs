//! Additive attention masks: 0 where a token may look, a large negative number where it may not.

use burn::tensor::{Device, Tensor, TensorData};

/// Added to a score to hide it. Finite, so that a row with nothing to see (padding) stays a number.
pub const HIDDEN: f32 = -1e30;

/// The causal mask of rows that stand at the end of their sequence, with padding on the left.
///
/// `rows` queries see `keys` keys; query `r` sees keys up to `keys - rows + r`. `starts` gives, for
/// every sequence of the batch, how many keys on its left are padding.
///
/// # Shapes
/// - output: `[batch, 1, rows, keys]`, or `None` where everything is visible
#[must_use]
pub fn causal(rows: usize, keys: usize, starts: &[usize], device: &Device) -> Option<Tensor<4>> {
    if rows == 1 && starts.iter().all(|start| *start == 0) {
        return None;
    }
    // Equal starts share one mask.
    let shared = starts.iter().all(|start| *start == starts[0]);
    let starts = if shared { &starts[..1] } else { starts };
    let mut values = Vec::with_capacity(starts.len() * rows * keys);
    for start in starts {
        for row in 0..rows {
            let last = keys - rows + row;
            values.extend((0..keys).map(|key| if key < *start || key > last { HIDDEN } else { 0.0 }));
        }
    }
    Some(Tensor::from_data(TensorData::new(values, [starts.len(), 1, rows, keys]), device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_future_are_hidden() {
        let device = Device::flex();
        let mask = causal(2, 3, &[0, 1], &device).expect("two rows need a mask");
        let seen: Vec<bool> = mask.into_data().iter::<f32>().map(|value| value == 0.0).collect();
        assert_eq!(seen, [true, true, false, true, true, true, false, true, false, false, true, true]);
        assert!(causal(1, 7, &[0, 0], &device).is_none());
    }
}
