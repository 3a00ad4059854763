//! Self-attention of either tower, with a bias on every projection.

use super::TowerConfig;
use crate::model::attend::attend;
use crate::model::{Linear, LinearConfig};
use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};

/// Projections of one layer's attention, each `[hidden, hidden]` with bias.
#[derive(Module, Debug)]
pub struct Attention {
    /// What is looked for.
    pub q_proj: Linear,
    /// What is found by.
    pub k_proj: Linear,
    /// What is found.
    pub v_proj: Linear,
    /// Puts the heads together.
    pub out_proj: Linear,
    heads: usize,
}

impl Attention {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TowerConfig, device: &Device) -> Self {
        let hidden = config.hidden_size;
        let project = || LinearConfig { input: hidden, output: hidden, bias: true, std: 0.02 }.init(device);
        Self {
            q_proj: project(),
            k_proj: project(),
            v_proj: project(),
            out_proj: project(),
            heads: config.heads,
        }
    }

    /// # Shapes
    /// - input and output: `[batch, seq, hidden]`
    /// - `mask`, added to the scores: `[batch or 1, 1, seq, seq]`
    #[must_use]
    pub fn forward(&self, input: Tensor<3>, mask: Option<Tensor<4>>) -> Tensor<3> {
        let [batch, seq, hidden] = input.dims();
        assert_shape!(input, [batch, seq, hidden]);
        let split =
            |states: Tensor<3>| states.reshape([batch, seq, self.heads, hidden / self.heads]).swap_dims(1, 2);
        let query = split(self.q_proj.forward(input.clone()));
        let key = split(self.k_proj.forward(input.clone()));
        let value = split(self.v_proj.forward(input));
        self.out_proj.forward(attend(query, key, value, mask))
    }
}
