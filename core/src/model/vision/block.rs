//! One vision block: attention and feed-forward, each with a norm before and a residual around.

use super::{Layout, Segments, VisionAttention};
use crate::config::{Architecture, VisionConfig};
use crate::model::language::Mlp;
use crate::model::{LayerNorm, Linear, LinearConfig, Norm, RmsNorm};
use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

/// One layer of the vision tower.
#[derive(Module, Debug)]
pub struct VisionBlock {
    /// Before attention.
    pub norm1: Norm,
    /// Before the feed-forward layer.
    pub norm2: Norm,
    /// Attention among patches.
    pub attn: VisionAttention,
    /// Feed-forward layer.
    pub mlp: FeedForward,
}

/// The feed-forward layer of either architecture.
#[expect(clippy::large_enum_variant, reason = "a block holds one of them, beside weights of megabytes")]
#[derive(Module, Debug)]
pub enum FeedForward {
    /// Qwen2.5-VL.
    Swiglu(Mlp),
    /// Qwen2-VL.
    QuickGelu(QuickGeluMlp),
}

/// Two layers with QuickGELU, `x · σ(1.702 x)`, between them.
#[derive(Module, Debug)]
pub struct QuickGeluMlp {
    /// `[intermediate, hidden]`, with bias
    pub fc1: Linear,
    /// `[hidden, intermediate]`, with bias
    pub fc2: Linear,
}

impl QuickGeluMlp {
    /// # Shapes
    /// - input and output: `[..., hidden]`
    #[must_use]
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        let states = self.fc1.forward(input);
        self.fc2.forward(states.clone() * sigmoid(states * 1.702))
    }
}

impl VisionBlock {
    /// Fresh weights.
    #[must_use]
    pub fn new(architecture: Architecture, config: &VisionConfig, device: &Device) -> Self {
        let (hidden, intermediate, std) =
            (config.hidden_size, config.intermediate_size, config.initializer_range);
        let norm = || match architecture {
            Architecture::Qwen25Vl => Norm::Rms(RmsNorm::new(hidden, 1e-6, device)),
            Architecture::Qwen2Vl => Norm::Layer(LayerNorm::new(hidden, 1e-6, device)),
        };
        let mlp = match architecture {
            Architecture::Qwen25Vl => FeedForward::Swiglu(Mlp::new(hidden, intermediate, true, std, device)),
            Architecture::Qwen2Vl => FeedForward::QuickGelu(QuickGeluMlp {
                fc1: LinearConfig { input: hidden, output: intermediate, bias: true, std }.init(device),
                fc2: LinearConfig { input: intermediate, output: hidden, bias: true, std }.init(device),
            }),
        };
        Self { norm1: norm(), norm2: norm(), attn: VisionAttention::new(config, device), mlp }
    }

    /// # Shapes
    /// - input and output: `[patches, hidden]`
    #[must_use]
    pub fn forward(&self, input: Tensor<2>, layout: &Layout, segments: &Segments) -> Tensor<2> {
        let states = input.clone() + self.attn.forward(self.norm1.forward(input), layout, segments);
        let normed = self.norm2.forward(states.clone());
        states
            + match &self.mlp {
                FeedForward::Swiglu(mlp) => mlp.forward(normed),
                FeedForward::QuickGelu(mlp) => mlp.forward(normed),
            }
    }
}
