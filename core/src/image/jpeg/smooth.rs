//! Guesses coefficients that a progressive file does not bring from the DC coefficients around them.
//!
//! libjpeg-turbo does so where scans are missing, so that a coarse picture shows no blocks (an extension
//! of ITU-T T.81, annex K.8, to 5 x 5 blocks):
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdcoefct.c#L327>

use super::coefficients::Coefficients;
use super::frame::{Component, Frame};
use super::scan::Scan;

/// How many coefficients, the first ones in zigzag order, can be guessed.
const GUESSED: usize = 10;
/// Where they lie in natural order.
const POSITIONS: [usize; GUESSED] = [0, 1, 8, 16, 9, 2, 3, 10, 17, 24];

/// A weight for each of the blocks around.
type Weights = [[i32; 5]; 5];

/// Which bits of the coefficients of a component have come: the lowest one, or -1 where none has.
#[derive(Debug, Clone, Copy)]
pub struct Precision {
    now: [i32; 64],
    before: [i32; 64],
}

impl Precision {
    /// Nothing has come.
    pub fn new() -> Self {
        Self { now: [-1; 64], before: [0; 64] }
    }

    /// Notes what a scan brings.
    pub fn note(&mut self, scan: &Scan, is_first_scan: bool) {
        let (first, last) = (usize::from(scan.first), usize::from(scan.last));
        for at in first.min(1)..=last.max(GUESSED - 1) {
            self.before[at] = if is_first_scan { 0 } else { self.now[at] };
        }
        self.now[first..=last].fill(scan.low_bit.into());
    }
}

/// Whether any coefficient is to be guessed, and all that the guess takes is there.
pub fn is_useful(frame: &Frame, precisions: &[Precision]) -> bool {
    let is_possible = |component: &Component| {
        component.steps.is_some_and(|steps| POSITIONS.iter().all(|&position| steps[position] != 0))
    };
    frame.progressive
        && frame.components.iter().all(is_possible)
        && precisions.iter().all(|precision| precision.now[0] >= 0)
        && precisions.iter().any(|precision| precision.now[1..GUESSED].iter().any(|&bit| bit != 0))
}

/// Where a picture of several scans is cut.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The last row of interleaved units that the last scan has begun.
    pub last_good_row: usize,
    /// Whether there was only one scan.
    pub is_first_scan: bool,
}

/// The blocks of a component with guesses in them.
pub struct Smoothed<'a> {
    /// As they came.
    pub coefficients: &'a Coefficients,
    /// Whose they are.
    pub component: &'a Component,
    /// How much of them has come.
    pub precision: &'a Precision,
    /// How far the last scan went.
    pub progress: Progress,
    /// Rows of interleaved units in the picture.
    pub units: usize,
}

impl Smoothed<'_> {
    /// A block with guesses.
    pub fn block(&self, column: usize, row: usize) -> [i16; 64] {
        let bits = self.bits(row / self.component.vertical);
        let is_bare = bits[1..].iter().all(|&bit| bit == -1);
        let mut block = *self.coefficients.block(column, row);
        let around = self.around(column, row);
        let steps = self.component.steps.unwrap_or([1; 64]).map(|step| i64::from(step.cast_unsigned()));
        let guess = |weights: &Weights, position: usize| {
            let pairs = weights.as_flattened().iter().zip(around.as_flattened());
            let sum: i32 = pairs.map(|(weight, dc)| weight * dc).sum();
            let (number, step) = (steps[0] * i64::from(sum), steps[position]);
            let size = ((step << 7) + number.abs()) / (step << 8);
            (number.signum(), size)
        };
        let all: &[Weights] = if is_bare { &BARE } else { &WITH_SOME };
        for (at, weights) in (1..).zip(all) {
            let position = POSITIONS[at];
            if bits[at] == 0 || block[position] != 0 {
                continue;
            }
            let (sign, size) = guess(weights, position);
            // What is known already says that it is less than the bits to come.
            let size = if bits[at] > 0 { size.min((1 << bits[at]) - 1) } else { size };
            block[position] = (sign * size) as i16;
        }
        if is_bare {
            let (sign, size) = guess(&BARE_DC, 0);
            block[0] = (sign * size) as i16;
        }
        block
    }

    /// The lowest bits that have come in a row of units.
    fn bits(&self, unit: usize) -> [i32; GUESSED] {
        let mut bits = [0; GUESSED];
        if unit <= self.progress.last_good_row {
            bits.copy_from_slice(&self.precision.now[..GUESSED]);
        } else if self.progress.is_first_scan {
            bits.fill(-1);
        } else {
            bits.copy_from_slice(&self.precision.before[..GUESSED]);
        }
        bits
    }

    /// DC coefficients of the blocks around; at an edge, those of the last block before it.
    fn around(&self, column: usize, row: usize) -> [[i32; 5]; 5] {
        let Component { vertical, rows, columns, .. } = *self.component;
        // libjpeg-turbo counts rows as if all units were as high as this one.
        let (unit, inner) = (row / vertical, row % vertical);
        let height = if unit + 1 < self.units { vertical } else { rows - unit * vertical };
        let (counted, all) = (unit * height + inner, self.units * height);
        let above = if counted > 0 { row - 1 } else { row };
        let above_that = if counted > 1 { row - 2 } else { above };
        let below = if counted + 1 < all { row + 1 } else { row };
        let below_that = if counted + 2 < all { row + 2 } else { below };
        let across = [
            column.saturating_sub(2),
            column.saturating_sub(1),
            column,
            (column + 1).min(columns - 1),
            (column + 2).min(columns - 1),
        ];
        [above_that, above, row, below, below_that]
            .map(|row| across.map(|column| self.coefficients.block(column, row)[0].into()))
    }
}

/// For AC coefficients of which nothing has come.
const BARE: [Weights; GUESSED - 1] = [
    [[-1, -1, 0, 1, 1], [-3, 13, 0, -13, 3], [-3, 38, 0, -38, 3], [-3, 13, 0, -13, 3], [-1, -1, 0, 1, 1]],
    [[-1, -3, -3, -3, -1], [-1, 13, 38, 13, -1], [0; 5], [1, -13, -38, -13, 1], [1, 3, 3, 3, 1]],
    [[0, 0, 1, 0, 0], [0, 2, 7, 2, 0], [0, -5, -14, -5, 0], [0, 2, 7, 2, 0], [0, 0, 1, 0, 0]],
    [[-1, 0, 0, 0, 1], [0, 9, 0, -9, 0], [0; 5], [0, -9, 0, 9, 0], [1, 0, 0, 0, -1]],
    [[0; 5], [0, 2, -5, 2, 0], [1, 7, -14, 7, 1], [0, 2, -5, 2, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, 2, 0, -2, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, -3, 1, 0], [0; 5], [0, -1, 3, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 0, -1, 0], [0, -3, 0, 3, 0], [0, 1, 0, -1, 0], [0; 5]],
    [[0; 5], [0, 1, 2, 1, 0], [0; 5], [0, -1, -2, -1, 0], [0; 5]],
];

/// For the DC coefficient beside them.
const BARE_DC: Weights = [
    [-2, -6, -8, -6, -2],
    [-6, 6, 42, 6, -6],
    [-8, 42, 152, 42, -8],
    [-6, 6, 42, 6, -6],
    [-2, -6, -8, -6, -2],
];

/// For the first five AC coefficients, where something of the nine has come.
const WITH_SOME: [Weights; 5] = [
    [[0; 5], [0; 5], [-7, 50, 0, -50, 7], [0; 5], [0; 5]],
    [[0, 0, -7, 0, 0], [0, 0, 50, 0, 0], [0; 5], [0, 0, -50, 0, 0], [0, 0, 7, 0, 0]],
    [[0, 0, -1, 0, 0], [0, 0, 13, 0, 0], [0, 0, -24, 0, 0], [0, 0, 13, 0, 0], [0, 0, -1, 0, 0]],
    [[0, -1, 0, 1, 0], [-1, 10, 0, -10, 1], [0; 5], [1, -10, 0, 10, -1], [0, 1, 0, -1, 0]],
    [[0; 5], [0; 5], [-1, 13, -24, 13, -1], [0; 5], [0; 5]],
];
