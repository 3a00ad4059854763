//! The frame: how large the picture is, and how its components are sampled (ITU-T T.81, annexes A and B.2.2).

use super::reader::Segment;
use super::{ImageError, corrupt, unsupported};

/// A side of a block, in samples.
pub const BLOCK: usize = 8;

/// The picture as its header describes it.
pub struct Frame {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Whether the coefficients come in several scans, each with more of their bits.
    pub progressive: bool,
    /// One (grey), three or four.
    pub components: Vec<Component>,
    /// The largest sampling factor across.
    pub horizontal: usize,
    /// The largest sampling factor down.
    pub vertical: usize,
}

/// One colour of the picture.
pub struct Component {
    /// By which scans name it.
    pub id: u8,
    /// Sampling factor across, 1 to 4.
    pub horizontal: usize,
    /// Sampling factor down, 1 to 4.
    pub vertical: usize,
    /// The place of its quantisation table.
    pub quantisation: u8,
    /// The table that stood there when its first scan began, in natural order; the low sixteen bits count.
    pub steps: Option<[i16; 64]>,
    /// In samples.
    pub width: usize,
    /// In samples.
    pub height: usize,
    /// Blocks across that the picture touches.
    pub columns: usize,
    /// Blocks down that the picture touches.
    pub rows: usize,
    /// Blocks across, filled up to whole units of an interleaved scan.
    pub padded_columns: usize,
    /// Blocks down, filled up to whole units of an interleaved scan.
    pub padded_rows: usize,
}

impl Frame {
    /// Reads the header of a frame.
    pub fn new(mut segment: Segment, progressive: bool) -> Result<Self, ImageError> {
        let precision = segment.byte()?;
        if precision != 8 {
            return Err(unsupported(format!("{precision} bits a channel are not supported, only 8")));
        }
        let (height, width) = (segment.pair()?, segment.pair()?);
        if width == 0 || height == 0 {
            return Err(ImageError::NoPixels { width: width.into(), height: height.into() });
        }
        let (width, height) = (usize::from(width), usize::from(height));
        let count = segment.byte()?;
        if ![1, 3, 4].contains(&count) {
            return Err(unsupported(format!("{count} channels are not supported, only 1, 3 and 4")));
        }
        let mut parts = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (id, factors, quantisation) = (segment.byte()?, segment.byte()?, segment.byte()?);
            let (horizontal, vertical) = (usize::from(factors >> 4), usize::from(factors & 15));
            if !(1..=4).contains(&horizontal) || !(1..=4).contains(&vertical) {
                return Err(corrupt(format!("sampling factors {horizontal} x {vertical}, not 1 to 4")));
            }
            parts.push((id, horizontal, vertical, quantisation));
        }
        segment.finish()?;

        let largest =
            |factor: fn(&(u8, usize, usize, u8)) -> usize| parts.iter().map(factor).max().unwrap_or(1);
        let (most_across, most_down) = (largest(|part| part.1), largest(|part| part.2));
        let components = parts
            .into_iter()
            .map(|(id, horizontal, vertical, quantisation)| {
                let columns = (width * horizontal).div_ceil(most_across * BLOCK);
                let rows = (height * vertical).div_ceil(most_down * BLOCK);
                Component {
                    id,
                    horizontal,
                    vertical,
                    quantisation,
                    steps: None,
                    width: (width * horizontal).div_ceil(most_across),
                    height: (height * vertical).div_ceil(most_down),
                    columns,
                    rows,
                    padded_columns: columns.next_multiple_of(horizontal),
                    padded_rows: rows.next_multiple_of(vertical),
                }
            })
            .collect();
        Ok(Self { width, height, progressive, components, horizontal: most_across, vertical: most_down })
    }

    /// Interleaved units across and down.
    pub fn units(&self) -> (usize, usize) {
        (self.width.div_ceil(self.horizontal * BLOCK), self.height.div_ceil(self.vertical * BLOCK))
    }

    /// Samples of all components, those that only fill up blocks included.
    pub fn padded_samples(&self) -> u64 {
        let blocks = |part: &Component| part.padded_columns as u64 * part.padded_rows as u64;
        self.components.iter().map(blocks).sum::<u64>() * (BLOCK * BLOCK) as u64
    }
}
