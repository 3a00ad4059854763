//! The stack of layers that both towers of both families share.

use super::{Activation, Attention, TowerConfig};
use crate::model::{LayerNorm, Linear, LinearConfig};
use burn::module::Module;
use burn::tensor::activation::{gelu, gelu_approximate, sigmoid};
use burn::tensor::{Device, Tensor};

/// All layers.
#[derive(Module, Debug)]
pub struct Encoder {
    /// First to last.
    pub layers: Vec<EncoderLayer>,
}

/// Attention and feed-forward part, each with a norm before and a residual around.
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// Before attention.
    pub layer_norm1: LayerNorm,
    /// Among the places of a sequence.
    pub self_attn: Attention,
    /// Before the feed-forward part.
    pub layer_norm2: LayerNorm,
    /// Feed-forward part.
    pub mlp: FeedForward,
}

/// Two layers with an activation between them.
#[derive(Module, Debug)]
pub struct FeedForward {
    /// `[intermediate, hidden]`, with bias
    pub fc1: Linear,
    /// `[hidden, intermediate]`, with bias
    pub fc2: Linear,
}

impl FeedForward {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TowerConfig, device: &Device) -> Self {
        let (hidden, intermediate) = (config.hidden_size, config.intermediate_size);
        Self {
            fc1: LinearConfig { input: hidden, output: intermediate, bias: true, std: 0.02 }.init(device),
            fc2: LinearConfig { input: intermediate, output: hidden, bias: true, std: 0.02 }.init(device),
        }
    }

    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>, activation: Activation) -> Tensor<D> {
        let states = self.fc1.forward(input);
        self.fc2.forward(match activation {
            Activation::QuickGelu => states.clone() * sigmoid(states * 1.702),
            Activation::Gelu => gelu(states),
            Activation::GeluTanh => gelu_approximate(states),
        })
    }
}

impl Encoder {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &TowerConfig, device: &Device) -> Self {
        let norm = || LayerNorm::new(config.hidden_size, config.layer_norm_eps, device);
        let layer = |_| EncoderLayer {
            layer_norm1: norm(),
            self_attn: Attention::new(config, device),
            layer_norm2: norm(),
            mlp: FeedForward::new(config, device),
        };
        Self { layers: (0..config.layers).map(layer).collect() }
    }

    /// # Shapes
    /// - input and output: `[batch, seq, hidden]`
    /// - `mask`: see [`Attention::forward`]
    #[must_use]
    pub fn forward(&self, input: Tensor<3>, mask: Option<&Tensor<4>>, activation: Activation) -> Tensor<3> {
        self.layers.iter().fold(input, |states, layer| {
            let normed = layer.layer_norm1.forward(states.clone());
            let states = states + layer.self_attn.forward(normed, mask.cloned());
            let normed = layer.layer_norm2.forward(states.clone());
            states + layer.mlp.forward(normed, activation)
        })
    }
}
