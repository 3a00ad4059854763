//! The stack of decoder blocks between the embedding and the head.

use super::DecoderBlock;
use crate::config::TextConfig;
use crate::model::positions::Positions;
use crate::model::rotary::Rotary;
use crate::model::{Cache, RmsNorm};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Int, Tensor, assert_shape};

/// What every block of a pass needs besides the states.
#[derive(Debug, Clone)]
pub struct Context {
    /// Angles of the new tokens.
    pub rotary: Rotary,
    /// What they may see; see [`crate::model::mask`].
    pub mask: Option<Tensor<4>>,
}

/// A vector for every token id.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[vocab, hidden]`
    pub weight: Param<Tensor<2>>,
}

impl Embedding {
    /// # Shapes
    /// - `ids`: `[batch, seq]`
    /// - output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        burn::tensor::module::embedding(self.weight.val(), ids)
    }
}

/// Embedding, blocks and the last norm; the head is the model's.
#[derive(Module, Debug)]
pub struct Decoder {
    /// Vectors of the tokens.
    pub embed_tokens: Embedding,
    /// The blocks, first to last.
    pub layers: Vec<DecoderBlock>,
    /// Before the head.
    pub norm: RmsNorm,
}

impl Decoder {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TextConfig, device: &Device) -> Self {
        let initializer = Initializer::Normal { mean: 0.0, std: config.initializer_range };
        Self {
            embed_tokens: Embedding {
                weight: initializer.init([config.vocab_size, config.hidden_size], device),
            },
            layers: (0..config.num_hidden_layers).map(|_| DecoderBlock::new(config, device)).collect(),
            norm: RmsNorm::new(config.hidden_size, config.rms_norm_eps, device),
        }
    }

    /// Runs all blocks over embedded tokens. With a cache the tokens follow what it holds.
    ///
    /// # Shapes
    /// - `states` and output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(&self, states: Tensor<3>, context: &Context, mut cache: Option<&mut Cache>) -> Tensor<3> {
        let [batch, seq, hidden] = states.dims();
        assert_shape!(states, [batch, seq, hidden]);
        let mut states = states;
        for (index, layer) in self.layers.iter().enumerate() {
            let place = cache.as_deref_mut().map(|cache| (cache, index));
            states = layer.forward(states, context, place);
        }
        if let Some(cache) = cache {
            cache.advance(seq);
        }
        self.norm.forward(states)
    }
}

/// The decoder's angles for rows of three-axis positions of equal length.
///
/// Frequency `i` follows the time, height or width axis according to `mrope_section`.
#[must_use]
pub fn rotary(config: &TextConfig, rows: &[Positions], device: &Device) -> Rotary {
    let (frequencies, scale) =
        config.rope_scaling.frequencies(config.head_dim(), config.rope_theta, config.max_position_embeddings);
    let seq = rows.first().map_or(0, Positions::len);
    let axis_of: Vec<usize> = config
        .rope_scaling
        .mrope_section
        .iter()
        .enumerate()
        .flat_map(|(axis, count)| std::iter::repeat_n(axis, *count))
        .collect();
    let mut angles = Vec::with_capacity(rows.len() * seq * frequencies.len());
    for row in rows {
        for token in 0..seq {
            angles.extend(
                axis_of
                    .iter()
                    .zip(&frequencies)
                    .map(|(axis, frequency)| row.axes[*axis][token] as f32 * frequency),
            );
        }
    }
    let rotary = Rotary::from_angles(&angles, [rows.len(), seq, frequencies.len()], device);
    if scale == 1.0 { rotary } else { rotary.scaled(scale) }
}
