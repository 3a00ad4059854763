//! The samples of a component.

use super::frame::{BLOCK, Component};

/// What there is where nothing is said: the middle of the range.
const MIDDLE: u8 = 128;

/// Samples in rows.
pub struct Plane {
    samples: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane {
    /// Room for all blocks of a component and those that only fill up units.
    pub fn new(component: &Component) -> Self {
        let stride = component.padded_columns * BLOCK;
        let samples = vec![MIDDLE; stride * component.padded_rows * BLOCK];
        Self { samples, stride, width: component.width, height: component.height }
    }

    /// Writes a block.
    #[inline(always)]
    pub fn put(&mut self, column: usize, row: usize, block: &[[u8; BLOCK]; BLOCK]) {
        let start = row * BLOCK * self.stride + column * BLOCK;
        let rows = self.samples[start..].chunks_mut(self.stride);
        for (target, source) in rows.zip(block) {
            target[..BLOCK].copy_from_slice(source);
        }
    }

    /// The samples of a row that belong to the picture; beyond the last row, those of the last.
    pub fn row(&self, row: usize) -> &[u8] {
        let start = row.min(self.height - 1) * self.stride;
        &self.samples[start..start + self.width]
    }
}
