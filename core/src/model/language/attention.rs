//! Causal self-attention with grouped key and value heads (GQA): <https://arxiv.org/abs/2305.13245>.

use super::Context;
use crate::config::TextConfig;
use crate::model::attend::attend;
use crate::model::rotary::split_heads;
use crate::model::{Cache, Linear, LinearConfig};
use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};

/// Projections of one block's attention.
#[derive(Module, Debug)]
pub struct Attention {
    /// `[heads × head_dim, hidden]`, with bias
    pub q_proj: Linear,
    /// `[kv_heads × head_dim, hidden]`, with bias
    pub k_proj: Linear,
    /// `[kv_heads × head_dim, hidden]`, with bias
    pub v_proj: Linear,
    /// `[hidden, heads × head_dim]`
    pub o_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

impl Attention {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TextConfig, device: &Device) -> Self {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let kv_width = config.num_key_value_heads * config.head_dim();
        let project = |output, bias| LinearConfig { input: hidden, output, bias, std }.init(device);
        Self {
            q_proj: project(hidden, true),
            k_proj: project(kv_width, true),
            v_proj: project(kv_width, true),
            o_proj: project(hidden, false),
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
        }
    }

    /// Attends to the cache, where there is one, and to the input itself.
    ///
    /// # Shapes
    /// - input and output: `[batch, seq, hidden]`
    #[must_use]
    pub fn forward(
        &self,
        input: Tensor<3>,
        context: &Context,
        cache: Option<(&mut Cache, usize)>,
    ) -> Tensor<3> {
        let [batch, seq, hidden] = input.dims();
        assert_shape!(input, [batch, seq, hidden]);
        let projected = Linear::forward_three([&self.q_proj, &self.k_proj, &self.v_proj], input);
        let mask = context.mask.clone();
        self.o_proj.forward(match cache {
            Some((cache, layer)) => cache.attend(layer, projected, &context.rotary, mask),
            None => {
                let [query, key, value] = projected;
                let query = context.rotary.split(query, self.heads);
                let key = context.rotary.split(key, self.kv_heads);
                attend(query, key, split_heads(value, self.kv_heads), mask)
            }
        })
    }
}
