//! From patches to tokens: a square of patches becomes one vector of the language model's width.

use crate::config::{Architecture, VisionConfig};
use crate::model::{LayerNorm, Linear, LinearConfig, Norm, RmsNorm};
use burn::module::Module;
use burn::tensor::activation::gelu;
use burn::tensor::{Device, Tensor};

/// Norm, then two layers over the joined patches of a square.
#[derive(Module, Debug)]
pub struct Merger {
    /// Before joining.
    pub ln_q: Norm,
    /// The two layers.
    pub mlp: MergerMlp,
}

/// The merger's layers; checkpoints number them 0 and 2, the activation between them being 1.
#[derive(Module, Debug)]
pub struct MergerMlp {
    /// `[hidden × merge², hidden × merge²]`, with bias
    pub first: Linear,
    /// `[out_hidden, hidden × merge²]`, with bias
    pub last: Linear,
}

impl Merger {
    /// Fresh weights.
    #[must_use]
    pub fn new(architecture: Architecture, config: &VisionConfig, device: &Device) -> Self {
        let joined = config.hidden_size * config.merge_area();
        let layer = |output| {
            LinearConfig { input: joined, output, bias: true, std: config.initializer_range }.init(device)
        };
        let ln_q = match architecture {
            Architecture::Qwen25Vl => Norm::Rms(RmsNorm::new(config.hidden_size, 1e-6, device)),
            Architecture::Qwen2Vl => Norm::Layer(LayerNorm::new(config.hidden_size, 1e-6, device)),
        };
        Self { ln_q, mlp: MergerMlp { first: layer(joined), last: layer(config.out_hidden_size) } }
    }

    /// # Shapes
    /// - input: `[patches, hidden]`
    /// - output: `[merged, out_hidden]`
    #[must_use]
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let [patches, hidden] = input.dims();
        let [_, joined] = self.mlp.first.dims();
        let states = self.ln_q.forward(input).reshape([patches * hidden / joined, joined]);
        self.mlp.last.forward(gelu(self.mlp.first.forward(states)))
    }
}
