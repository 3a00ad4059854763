//! In which order patches stand, and which of them see each other.
//!
//! Qwen2.5-VL gathers merged squares window by window, so that a window is a run of neighbours; the
//! order is undone after the merger. Follows `get_window_index` and `rot_pos_emb` of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py#L414-L490>.

use crate::config::VisionConfig;
use crate::image::Grid;
use crate::model::mask::HIDDEN;
use crate::model::rotary::{Rotary, inverse_frequencies};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The layout of all images of a pass.
#[derive(Debug, Clone)]
pub struct Layout {
    /// For every place in the tower, the merged square that stands there: `[merged]`; `None` where
    /// the order is the images' own.
    pub order: Option<Tensor<1, Int>>,
    /// The way back: `[merged]`.
    pub inverse: Option<Tensor<1, Int>>,
    /// Angles of the patches, in the tower's order: `[1, 1, patches, head_dim / 2]`.
    pub rotary: Rotary,
    /// Runs of patches that see each other in blocks with windows.
    pub windows: Segments,
    /// Runs of patches that see each other in the other blocks: whole images.
    pub images: Segments,
}

/// Consecutive runs of patches.
#[derive(Debug, Clone)]
pub struct Segments {
    /// Number of runs.
    pub count: usize,
    /// Patches in the longest run.
    pub longest: usize,
    /// How to fill runs up to the longest; `None` where all are equally long.
    pub padding: Option<SegmentPadding>,
}

/// Gathers runs of different lengths into one rectangle and back.
#[derive(Debug, Clone)]
pub struct SegmentPadding {
    /// The patch at every place of the rectangle, any where there is none: `[count × longest]`.
    pub gather: Tensor<1, Int>,
    /// The place of every patch in the rectangle: `[patches]`.
    pub scatter: Tensor<1, Int>,
    /// Hides the filling: `[count, 1, 1, longest]`.
    pub mask: Tensor<4>,
}

impl Layout {
    /// Lays out images of the given grids, one after another.
    #[must_use]
    pub fn new(config: &VisionConfig, grids: &[Grid], device: &Device) -> Self {
        let order = Order::new(config, grids);
        let ints = |values: &[i32]| Tensor::<1, Int>::from_ints(values, device);
        let sorted = order.squares.windows(2).all(|pair| pair[0] < pair[1]);
        let mut inverse = vec![0; order.squares.len()];
        for (place, square) in order.squares.iter().enumerate() {
            inverse[*square as usize] = place as i32;
        }
        Self {
            order: (!sorted).then(|| ints(&order.squares)),
            inverse: (!sorted).then(|| ints(&inverse)),
            rotary: angles(config, grids, &order.squares, device),
            windows: Segments::new(&order.window_lengths, device),
            images: Segments::new(&order.image_lengths, device),
        }
    }
}

/// The host side of a layout.
struct Order {
    squares: Vec<i32>,
    window_lengths: Vec<usize>,
    image_lengths: Vec<usize>,
}

impl Order {
    fn new(config: &VisionConfig, grids: &[Grid]) -> Self {
        let merge = config.spatial_merge_size;
        let side = match config.window_size {
            0 => usize::MAX,
            pixels => (pixels / merge / config.patch_size).max(1),
        };
        let mut order = Self { squares: Vec::new(), window_lengths: Vec::new(), image_lengths: Vec::new() };
        let mut first = 0;
        for grid in grids {
            let (rows, columns) = (grid.h / merge, grid.w / merge);
            for frame in 0..grid.t {
                order.image_lengths.push(grid.h * grid.w);
                for top in (0..rows).step_by(side) {
                    for left in (0..columns).step_by(side) {
                        let bottom = top.saturating_add(side).min(rows);
                        let right = left.saturating_add(side).min(columns);
                        for row in top..bottom {
                            for column in left..right {
                                order.squares.push((first + (frame * rows + row) * columns + column) as i32);
                            }
                        }
                        order.window_lengths.push((bottom - top) * (right - left) * merge * merge);
                    }
                }
            }
            first += grid.t * rows * columns;
        }
        order
    }
}

impl Segments {
    fn new(lengths: &[usize], device: &Device) -> Self {
        let (count, longest) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
        if lengths.iter().all(|length| *length == longest) {
            return Self { count, longest, padding: None };
        }
        let mut gather = vec![0; count * longest];
        let mut mask = vec![HIDDEN; count * longest];
        let mut scatter = Vec::new();
        for (segment, length) in lengths.iter().enumerate() {
            for offset in 0..*length {
                let place = segment * longest + offset;
                gather[place] = scatter.len() as i32;
                mask[place] = 0.0;
                scatter.push(place as i32);
            }
        }
        let padding = SegmentPadding {
            gather: Tensor::from_ints(gather.as_slice(), device),
            scatter: Tensor::from_ints(scatter.as_slice(), device),
            mask: Tensor::from_data(TensorData::new(mask, [count, 1, 1, longest]), device),
        };
        Self { count, longest, padding: Some(padding) }
    }
}

/// Half of a head's frequencies follow the patch's row, half its column.
fn angles(config: &VisionConfig, grids: &[Grid], squares: &[i32], device: &Device) -> Rotary {
    let merge = config.spatial_merge_size;
    let frequencies = inverse_frequencies(config.head_dim() / 2, 10_000.0);
    // Row and column of every merged square's first patch, in the images' own order.
    let mut corners = Vec::with_capacity(squares.len());
    for grid in grids {
        for _ in 0..grid.t {
            for row in (0..grid.h).step_by(merge) {
                corners.extend((0..grid.w).step_by(merge).map(|column| (row, column)));
            }
        }
    }
    let mut angles = Vec::with_capacity(squares.len() * merge * merge * frequencies.len() * 2);
    for square in squares {
        let (top, left) = corners[*square as usize];
        for row in top..top + merge {
            for column in left..left + merge {
                angles.extend(frequencies.iter().map(|frequency| row as f32 * frequency));
                angles.extend(frequencies.iter().map(|frequency| column as f32 * frequency));
            }
        }
    }
    let patches = squares.len() * merge * merge;
    Rotary::from_angles(&angles, [1, patches, frequencies.len() * 2], device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_cut_row_by_row_and_clipped_at_the_edge() {
        let config = VisionConfig { window_size: 56, ..VisionConfig::default() };
        let order = Order::new(&config, &[Grid { t: 1, h: 4, w: 6 }]);
        assert_eq!(order.squares, [0, 1, 3, 4, 2, 5]);
        assert_eq!(order.window_lengths, [16, 8]);
        assert_eq!(order.image_lengths, [24]);
    }

    #[test]
    fn without_windows_the_order_is_the_images_own() {
        let config = VisionConfig { window_size: 0, ..VisionConfig::default() };
        let layout =
            Layout::new(&config, &[Grid { t: 1, h: 4, w: 6 }, Grid { t: 1, h: 2, w: 2 }], &Device::flex());
        assert!(layout.order.is_none());
        assert_eq!((layout.images.count, layout.images.longest), (2, 24));
        assert!(layout.images.padding.is_some());
    }
}
