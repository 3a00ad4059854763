//! Rotary position embedding in the half-split form of Hugging Face checkpoints.
//!
//! RoPE: Su et al. 2021, <https://arxiv.org/abs/2104.09864>. M-RoPE (three axes): Qwen2-VL section 2.1,
//! <https://arxiv.org/abs/2409.12191>. Angles are computed on the host in f32, as the reference does,
//! from integer positions.

use burn::tensor::{Device, Tensor, TensorData};

/// Cosines and sines of the angles of every position.
#[derive(Debug, Clone)]
pub struct Rotary {
    /// `[batch, 1, seq, head_dim / 2]`
    pub cos: Tensor<4>,
    /// `[batch, 1, seq, head_dim / 2]`
    pub sin: Tensor<4>,
}

impl Rotary {
    /// Uploads angles that were computed row by row.
    ///
    /// `angles` is `[batch, seq, half]`, row-major, in radians.
    #[must_use]
    pub fn from_angles(angles: &[f32], [batch, seq, half]: [usize; 3], device: &Device) -> Self {
        let upload =
            |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [batch, 1, seq, half]), device);
        Self {
            cos: upload(angles.iter().map(|angle| angle.cos()).collect()),
            sin: upload(angles.iter().map(|angle| angle.sin()).collect()),
        }
    }

    /// Cosines and sines times a number.
    #[must_use]
    pub fn scaled(self, scale: f32) -> Self {
        Self { cos: self.cos * scale, sin: self.sin * scale }
    }

    /// Splits projected queries or keys into heads, and turns them by their positions' angles.
    ///
    /// # Shapes
    /// - states: `[batch, seq, heads × head_dim]`
    /// - output: `[batch, heads, seq, head_dim]`
    #[must_use]
    pub fn split(&self, states: Tensor<3>, heads: usize) -> Tensor<4> {
        #[cfg(feature = "kernels")]
        if let Some(turned) = crate::kernels::rotate_heads(&states, self, heads) {
            return turned;
        }
        self.apply(split_heads(states, heads))
    }

    /// Turns queries or keys by their positions' angles.
    ///
    /// # Shapes
    /// - input and output: `[batch, heads, seq, head_dim]`
    #[must_use]
    pub fn apply(&self, input: Tensor<4>) -> Tensor<4> {
        let [_, _, _, head_dim] = input.dims();
        let half = head_dim / 2;
        #[cfg(feature = "passes")]
        if [&input, &self.cos, &self.sin].into_iter().all(crate::passes::apply_to) {
            return crate::passes::rotate(input, self.cos.clone(), self.sin.clone());
        }
        let dtype = input.dtype();
        let (cos, sin) = (self.cos.clone().cast(dtype), self.sin.clone().cast(dtype));
        let first = input.clone().narrow(3, 0, half);
        let second = input.narrow(3, half, half);
        Tensor::cat(
            vec![first.clone() * cos.clone() - second.clone() * sin.clone(), second * cos + first * sin],
            3,
        )
    }
}

/// Takes heads apart that lie side by side.
///
/// # Shapes
/// - states: `[batch, seq, heads × head_dim]`
/// - output: `[batch, heads, seq, head_dim]`
#[must_use]
pub fn split_heads(states: Tensor<3>, heads: usize) -> Tensor<4> {
    let [batch, seq, width] = states.dims();
    states.reshape([batch, seq, heads, width / heads]).swap_dims(1, 2)
}

/// `θ^(−2i / dim)` for `i` below `dim / 2`, in f32.
#[must_use]
pub fn inverse_frequencies(dim: usize, theta: f64) -> Vec<f32> {
    (0..dim / 2).map(|index| 1.0 / (theta as f32).powf((2 * index) as f32 / dim as f32)).collect()
}
