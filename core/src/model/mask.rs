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

/// The causal mask of rows that hold several samples one after another: a token sees itself and what
/// stands before it in its own sample.
///
/// `blocks` gives, for every row of the batch, how many tokens each of its samples has; what is left of
/// a row is padding on its right, a block of its own.
///
/// # Shapes
/// - output: `[batch, 1, seq, seq]`
#[must_use]
pub fn block_causal(seq: usize, blocks: &[Vec<usize>], device: &Device) -> Tensor<4> {
    let mut values = vec![HIDDEN; blocks.len() * seq * seq];
    for (row, lengths) in blocks.iter().enumerate() {
        let padding = seq - lengths.iter().sum::<usize>();
        let mut start = 0;
        for length in lengths.iter().chain([&padding]) {
            for query in start..start + length {
                let line = (row * seq + query) * seq;
                values[line + start..=line + query].fill(0.0);
            }
            start += length;
        }
    }
    Tensor::from_data(TensorData::new(values, [blocks.len(), 1, seq, seq]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_of_a_packed_row_sees_itself_alone() {
        let device = Device::flex();
        let mask = block_causal(4, &[vec![1, 2], vec![4]], &device);
        assert_eq!(mask.dims(), [2, 1, 4, 4]);
        let seen: Vec<u8> = mask.into_data().iter::<f32>().map(|value| u8::from(value == 0.0)).collect();
        #[rustfmt::skip]
        let expected = [
            1, 0, 0, 0,
            0, 1, 0, 0,
            0, 1, 1, 0,
            0, 0, 0, 1,
            1, 0, 0, 0,
            1, 1, 0, 0,
            1, 1, 1, 0,
            1, 1, 1, 1,
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn padding_and_future_are_hidden() {
        let device = Device::flex();
        let mask = causal(2, 3, &[0, 1], &device).expect("two rows need a mask");
        let seen: Vec<bool> = mask.into_data().iter::<f32>().map(|value| value == 0.0).collect();
        assert_eq!(seen, [true, true, false, true, true, true, false, true, false, false, true, true]);
        assert!(causal(1, 7, &[0, 0], &device).is_none());
    }
}
