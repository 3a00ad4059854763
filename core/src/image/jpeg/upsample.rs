//! Brings components to the size of the picture as libjpeg-turbo does: between twice as few samples it
//! interpolates in a triangle, others it repeats.
//!
//! <https://github.com/libjpeg-turbo/libjpeg-turbo/blob/3.1.4.1/src/jdsample.c#L443>

use super::frame::{Component, Frame};
use super::plane::Plane;
use super::{ImageError, unsupported};

/// How a component becomes as large as the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It is.
    Whole,
    /// Interpolates across (4:2:2).
    Across,
    /// Interpolates down (4:4:0).
    Down,
    /// Interpolates in both directions (4:2:0).
    Both,
    /// Repeats every sample.
    Repeat {
        /// How often across.
        across: usize,
        /// How often down.
        down: usize,
    },
}

impl Method {
    /// Chooses by the ratio of sampling factors; interpolation across takes three samples.
    pub fn new(component: &Component, frame: &Frame) -> Result<Self, ImageError> {
        let is_whole = frame.horizontal.is_multiple_of(component.horizontal)
            && frame.vertical.is_multiple_of(component.vertical);
        if !is_whole {
            return Err(unsupported(format!(
                "channels of which one has {} x {} samples where another has {} x {} are not supported",
                component.horizontal, component.vertical, frame.horizontal, frame.vertical
            )));
        }
        let across = frame.horizontal / component.horizontal;
        let down = frame.vertical / component.vertical;
        Ok(match (across, down) {
            (1, 1) => Self::Whole,
            (2, 1) if component.width > 2 => Self::Across,
            (1, 2) => Self::Down,
            (2, 2) if component.width > 2 => Self::Both,
            _ => Self::Repeat { across, down },
        })
    }

    /// A row of the picture, of this component; `room` holds it if it is not in the plane already.
    pub fn row<'a>(self, plane: &'a Plane, row: usize, room: &'a mut Vec<u8>) -> &'a [u8] {
        // The row that lies beside the nearer one: above it for even rows, below for odd ones.
        let nearer = row / 2;
        let farther = if row.is_multiple_of(2) { nearer.saturating_sub(1) } else { nearer + 1 };
        match self {
            Self::Whole => return plane.row(row),
            Self::Across => across(plane.row(row), room),
            Self::Down => down(plane.row(nearer), plane.row(farther), 1 + (row as u16 & 1), room),
            Self::Both => both(plane.row(nearer), plane.row(farther), room),
            Self::Repeat { across, down } => {
                room.clear();
                room.extend(
                    plane.row(row / down).iter().flat_map(|&sample| std::iter::repeat_n(sample, across)),
                );
            }
        }
        room
    }
}

/// Halves are rounded down to the left of a sample and up to its right, so that none prevails.
fn across(input: &[u8], output: &mut Vec<u8>) {
    output.resize(input.len() * 2, 0);
    let (pairs, _) = output.as_chunks_mut::<2>();
    for (pair, window) in pairs[1..].iter_mut().zip(input.windows(3)) {
        let (left, middle, right) = (u16::from(window[0]), u16::from(window[1]), u16::from(window[2]));
        *pair = [((middle * 3 + left + 1) >> 2) as u8, ((middle * 3 + right + 2) >> 2) as u8];
    }
    let last = input.len() - 1;
    let blend =
        |nearer: u8, farther: u8, bias: u16| ((u16::from(nearer) * 3 + u16::from(farther) + bias) >> 2) as u8;
    pairs[0] = [input[0], blend(input[0], input[1], 2)];
    pairs[last] = [blend(input[last], input[last - 1], 1), input[last]];
}

fn down(nearer: &[u8], farther: &[u8], bias: u16, output: &mut Vec<u8>) {
    output.clear();
    let blend = |(&near, &far)| ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
    output.extend(nearer.iter().zip(farther).map(blend));
}

fn both(nearer: &[u8], farther: &[u8], output: &mut Vec<u8>) {
    output.resize(nearer.len() * 2, 0);
    let (pairs, _) = output.as_chunks_mut::<2>();
    let sum = |near: u8, far: u8| u16::from(near) * 3 + u16::from(far);
    for ((pair, near), far) in pairs[1..].iter_mut().zip(nearer.windows(3)).zip(farther.windows(3)) {
        let (left, middle, right) = (sum(near[0], far[0]), sum(near[1], far[1]), sum(near[2], far[2]));
        *pair = [((middle * 3 + left + 8) >> 4) as u8, ((middle * 3 + right + 7) >> 4) as u8];
    }
    let last = nearer.len() - 1;
    let at = |column: usize| sum(nearer[column], farther[column]);
    pairs[0] = [((at(0) * 4 + 8) >> 4) as u8, ((at(0) * 3 + at(1) + 7) >> 4) as u8];
    pairs[last] = [((at(last) * 3 + at(last - 1) + 8) >> 4) as u8, ((at(last) * 4 + 7) >> 4) as u8];
}

#[cfg(test)]
mod tests {
    use super::*;

    // By hand, from the weights and roundings of jdsample.c.

    #[test]
    fn across_weighs_three_to_one() {
        let mut row = Vec::new();
        across(&[0, 10, 255], &mut row);
        assert_eq!(row, [0, 3, 7, 71, 194, 255]);
    }

    #[test]
    fn down_weighs_three_to_one() {
        let mut row = Vec::new();
        down(&[0, 10, 255], &[1, 13, 0], 1, &mut row);
        assert_eq!(row, [0, 11, 191]);
        down(&[0, 10, 255], &[2, 13, 0], 2, &mut row);
        assert_eq!(row, [1, 11, 191]);
    }

    #[test]
    fn both_weighs_nine_three_three_one() {
        let mut row = Vec::new();
        both(&[0, 10, 255], &[4, 10, 255], &mut row);
        // Sums down: 4, 40, 1020.
        assert_eq!(row, [1, 3, 8, 71, 194, 255]);
    }
}
