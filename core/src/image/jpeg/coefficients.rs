//! The coefficients of a component while its scans come in.

use super::frame::Component;

/// Blocks in rows, each in natural order.
pub struct Coefficients {
    blocks: Vec<[i16; 64]>,
    columns: usize,
}

impl Coefficients {
    /// Zeros, for all blocks of a component and those that only fill up units.
    pub fn new(component: &Component) -> Self {
        let blocks = vec![[0; 64]; component.padded_columns * component.padded_rows];
        Self { blocks, columns: component.padded_columns }
    }

    /// A block.
    pub fn block(&self, column: usize, row: usize) -> &[i16; 64] {
        &self.blocks[row * self.columns + column]
    }

    /// A block, to write to.
    pub fn block_mut(&mut self, column: usize, row: usize) -> &mut [i16; 64] {
        &mut self.blocks[row * self.columns + column]
    }
}
