//! Every image's tokens brought to a grid of one size, by means over regions.

use burn::tensor::{Device, Tensor, TensorData};
use std::ops::Range;

/// Rows and columns of the grid.
const SIDE: usize = 4;
/// Regions of the grid.
pub const CELLS: usize = SIDE * SIDE;

/// Takes the mean of the tokens in each region, as torch's `AdaptiveAvgPool2d` does: where an image has
/// fewer tokens than the grid, regions share them.
///
/// # Shapes
/// - `tokens`: `[merged, hidden]`, image after image, row after row
/// - `sizes`: rows and columns of every image's tokens
/// - output: `[images, cells × hidden]`
#[must_use]
pub fn pool(tokens: Tensor<2>, sizes: &[[usize; 2]]) -> Tensor<2> {
    let [_, hidden] = tokens.dims();
    let mut first = 0;
    let means = sizes
        .chunk_by(|left, right| left == right)
        .map(|alike| {
            let (images, length) = (alike.len(), alike[0][0] * alike[0][1]);
            let here = tokens.clone().narrow(0, first, images * length).reshape([images, length, hidden]);
            first += images * length;
            let shares = shares(alike[0], &tokens.device()).unsqueeze::<3>().expand([images, CELLS, length]);
            shares.matmul(here).reshape([images, CELLS * hidden])
        })
        .collect();
    Tensor::cat(means, 0)
}

/// How much of each region every token is: `[cells, tokens]`.
fn shares([rows, columns]: [usize; 2], device: &Device) -> Tensor<2> {
    let mut shares = vec![0_f32; CELLS * rows * columns];
    for cell in 0..CELLS {
        let (down, across) = (region(cell / SIDE, rows), region(cell % SIDE, columns));
        let share = 1.0 / (down.len() * across.len()) as f32;
        for row in down {
            for column in across.clone() {
                shares[cell * rows * columns + row * columns + column] = share;
            }
        }
    }
    Tensor::from_data(TensorData::new(shares, [CELLS, rows * columns]), device)
}

/// The places of `length` that belong to a place of the grid.
fn region(place: usize, length: usize) -> Range<usize> {
    place * length / SIDE..((place + 1) * length).div_ceil(SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_torchs() {
        // torch.nn.AdaptiveAvgPool1d(4) of 0..6 gives 0.5, 2, 3, 4.5 (means of 0..2, 1..3, 3..5 and 4..6),
        // of 0..2 gives 0, 0, 1, 1.
        assert_eq!([0, 1, 2, 3].map(|place| region(place, 6)), [0..2, 1..3, 3..5, 4..6]);
        assert_eq!([0, 1, 2, 3].map(|place| region(place, 2)), [0..1, 0..1, 1..2, 1..2]);
        assert_eq!([0, 1, 2, 3].map(|place| region(place, 8)), [0..2, 2..4, 4..6, 6..8]);
    }

    #[test]
    fn images_of_different_sizes_are_pooled_each_by_itself() {
        let device = Device::flex();
        // One image of a single token, two of one row with two tokens.
        let tokens = Tensor::<2>::from_data([[9.0], [1.0], [2.0], [3.0], [4.0]], &device);
        let pooled = pool(tokens, &[[1, 1], [1, 2], [1, 2]]);
        assert_eq!(pooled.dims(), [3, CELLS]);
        let found: Vec<f32> = pooled.into_data().iter().collect();
        let row = |left: f32, right: f32| [left, left, right, right].repeat(SIDE);
        assert_eq!(found, [row(9.0, 9.0), row(1.0, 2.0), row(3.0, 4.0)].concat());
    }
}
