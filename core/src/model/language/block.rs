//! One decoder block: attention and feed-forward, each with a norm before and a residual around.

use super::{Attention, Context, Mlp};
use crate::config::TextConfig;
use crate::model::{Cache, RmsNorm};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// One layer of the decoder.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    /// Before attention.
    pub input_layernorm: RmsNorm,
    /// Self-attention.
    pub self_attn: Attention,
    /// Before the feed-forward layer.
    pub post_attention_layernorm: RmsNorm,
    /// Feed-forward layer.
    pub mlp: Mlp,
}

impl DecoderBlock {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TextConfig, device: &Device) -> Self {
        let norm = || RmsNorm::new(config.hidden_size, config.rms_norm_eps, device);
        let mlp =
            Mlp::new(config.hidden_size, config.intermediate_size, false, config.initializer_range, device);
        Self {
            input_layernorm: norm(),
            self_attn: Attention::new(config, device),
            post_attention_layernorm: norm(),
            mlp,
        }
    }

    /// # Shapes
    /// - input and output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(
        &self,
        input: Tensor<3>,
        context: &Context,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        let attended = self.self_attn.forward(self.input_layernorm.forward(input.clone()), context, cache);
        let (states, normed) = self.post_attention_layernorm.forward_sum(input, attended);
        self.mlp.forward_add(normed, states)
    }
}
