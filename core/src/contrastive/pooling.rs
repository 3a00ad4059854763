//! SigLIP's pooling: one learnt query looks at all patches.
//!
//! The projections lie in one matrix, as in torch's `MultiheadAttention`:
//! <https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html>.

use super::{FeedForward, TowerConfig};
use crate::model::attend::attend;
use crate::model::{LayerNorm, Linear, LinearConfig};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor, assert_shape};

/// Query, attention, and a feed-forward part.
#[derive(Module, Debug)]
pub struct PoolingHead {
    /// The query: `[1, 1, hidden]`
    pub probe: Param<Tensor<3>>,
    /// From the query to the patches.
    pub attention: PoolingAttention,
    /// Before the feed-forward part.
    pub layernorm: LayerNorm,
    /// Feed-forward part.
    pub mlp: FeedForward,
}

/// Attention whose query, key and value projections are one matrix.
#[derive(Module, Debug)]
pub struct PoolingAttention {
    /// `[3 × hidden, hidden]`
    pub in_proj_weight: Param<Tensor<2>>,
    /// `[3 × hidden]`
    pub in_proj_bias: Param<Tensor<1>>,
    /// `[hidden, hidden]`, with bias
    pub out_proj: Linear,
    heads: usize,
}

impl PoolingHead {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TowerConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let normal = Initializer::Normal { mean: 0.0, std: 0.02 };
        Self {
            probe: normal.init([1, 1, hidden], device),
            attention: PoolingAttention {
                in_proj_weight: normal.init([3 * hidden, hidden], device),
                in_proj_bias: Initializer::Zeros.init([3 * hidden], device),
                out_proj: LinearConfig { input: hidden, output: hidden, bias: true, std: 0.02 }.init(device),
                heads: config.heads,
            },
            layernorm: LayerNorm::new(hidden, config.layer_norm_eps, device),
            mlp: FeedForward::new(config, device),
        }
    }

    /// # Shapes
    /// - input: `[batch, patches, hidden]`
    /// - output: `[batch, hidden]`
    #[must_use]
    pub fn forward(&self, patches: Tensor<3>, config: &TowerConfig) -> Tensor<2> {
        let [batch, _, hidden] = patches.dims();
        let pooled = self.attention.forward(self.probe.val(), patches);
        let states = self.layernorm.forward(pooled.clone());
        let states = pooled + self.mlp.forward(states, config.activation);
        states.reshape([batch, hidden])
    }
}

impl PoolingAttention {
    /// # Shapes
    /// - `probe`: `[1, 1, hidden]`
    /// - `patches`: `[batch, patches, hidden]`
    /// - output: `[batch, 1, hidden]`
    #[must_use]
    pub fn forward(&self, probe: Tensor<3>, patches: Tensor<3>) -> Tensor<3> {
        let [batch, count, hidden] = patches.dims();
        assert_shape!(probe, [1, 1, hidden]);
        let project = |states: Tensor<3>, part: usize| {
            let [batch, seq, _] = states.dims();
            let weight = self.in_proj_weight.val().narrow(0, part * hidden, hidden);
            let bias = self.in_proj_bias.val().narrow(0, part * hidden, hidden);
            let product = states.reshape([batch * seq, hidden]).matmul(weight.transpose()) + bias.unsqueeze();
            product.reshape([batch, seq, self.heads, hidden / self.heads]).swap_dims(1, 2)
        };
        let head_dim = hidden / self.heads;
        let query = project(probe, 0).expand([batch, self.heads, 1, head_dim]);
        let (key, value) = (project(patches.clone(), 1), project(patches, 2));
        assert_shape!(key, [batch, self.heads, count, head_dim]);
        self.out_proj.forward(attend(query, key, value, None))
    }
}
