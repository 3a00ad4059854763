//! Three-axis positions of a prompt: time, height and width, on integers.
//!
//! Text counts all three axes together. An image starts where the text stopped and counts rows and
//! columns of its merged patches; the text after it goes on one past the largest of them.
//! Follows `get_rope_index` of
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2_5_vl/modeling_qwen2_5_vl.py#L1472>.

use crate::image::Grid;
use thiserror::Error;

/// Positions of one sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// Time, height and width of every token; three lists of equal length.
    pub axes: [Vec<i32>; 3],
    /// The position of the next token on every axis.
    pub next: i32,
}

/// Image tokens that do not fit the images.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PositionsError {
    /// A run of image tokens starts, but all images are placed.
    #[error("the prompt has image tokens for more than {images} image(s)")]
    TooManyPlaces {
        /// How many images there are.
        images: usize,
    },
    /// The run of image tokens ends early.
    #[error("image {image} has {found} image tokens in the prompt, its grid needs {expected}")]
    WrongCount {
        /// Number of the image, from 0.
        image: usize,
        /// Tokens in the run.
        found: usize,
        /// Tokens that the grid makes.
        expected: usize,
    },
    /// Images are left over.
    #[error("the prompt has a place for {places} image(s), {images} are given")]
    TooFewPlaces {
        /// Places in the prompt.
        places: usize,
        /// How many images there are.
        images: usize,
    },
}

impl Positions {
    /// Positions of a prompt whose placeholders are expanded.
    ///
    /// # Errors
    /// The runs of `image_token` do not match `grids` one by one.
    pub fn of_prompt(
        ids: &[u32],
        image_token: u32,
        grids: &[Grid],
        merge_size: usize,
    ) -> Result<Self, PositionsError> {
        let mut positions = Self::default();
        let mut image = 0;
        let mut index = 0;
        while index < ids.len() {
            if ids[index] != image_token {
                positions.push_text(1);
                index += 1;
                continue;
            }
            let grid = grids.get(image).ok_or(PositionsError::TooManyPlaces { images: grids.len() })?;
            let expected = grid.merged(merge_size);
            let found = ids[index..].iter().take(expected).take_while(|id| **id == image_token).count();
            if found != expected {
                return Err(PositionsError::WrongCount { image, found, expected });
            }
            positions.push_image(*grid, merge_size);
            index += expected;
            image += 1;
        }
        if image != grids.len() {
            return Err(PositionsError::TooFewPlaces { places: image, images: grids.len() });
        }
        Ok(positions)
    }

    /// Number of tokens.
    #[must_use]
    pub fn len(&self) -> usize {
        self.axes[0].len()
    }

    /// Whether there is no token.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.axes[0].is_empty()
    }

    /// Adds text tokens.
    pub fn push_text(&mut self, count: usize) {
        for _ in 0..count {
            for axis in &mut self.axes {
                axis.push(self.next);
            }
            self.next += 1;
        }
    }

    fn push_image(&mut self, grid: Grid, merge_size: usize) {
        let (rows, columns) = (grid.h / merge_size, grid.w / merge_size);
        for frame in 0..grid.t {
            for row in 0..rows {
                for column in 0..columns {
                    for (axis, offset) in self.axes.iter_mut().zip([frame, row, column]) {
                        axis.push(self.next + offset as i32);
                    }
                }
            }
        }
        self.next += grid.t.max(rows).max(columns) as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_on_past_the_larger_side_of_an_image() {
        let ids = [1, 9, 9, 9, 9, 9, 9, 2];
        let grid = Grid { t: 1, h: 4, w: 6 };
        let positions = Positions::of_prompt(&ids, 9, &[grid], 2).expect("six places for six tokens");
        assert_eq!(positions.axes[0], [0, 1, 1, 1, 1, 1, 1, 4]);
        assert_eq!(positions.axes[1], [0, 1, 1, 1, 2, 2, 2, 4]);
        assert_eq!(positions.axes[2], [0, 1, 2, 3, 1, 2, 3, 4]);
        assert_eq!(positions.next, 5);
    }

    #[test]
    fn places_and_images_must_match() {
        let grid = Grid { t: 1, h: 2, w: 4 };
        let error = |ids: &[u32], grids: &[Grid]| Positions::of_prompt(ids, 9, grids, 2).unwrap_err();
        assert_eq!(error(&[9], &[]), PositionsError::TooManyPlaces { images: 0 });
        assert_eq!(error(&[9, 1], &[grid]), PositionsError::WrongCount { image: 0, found: 1, expected: 2 });
        assert_eq!(error(&[1], &[grid]), PositionsError::TooFewPlaces { places: 0, images: 1 });
    }
}
