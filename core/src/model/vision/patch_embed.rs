//! Patches to vectors: a convolution whose stride is its kernel, that is, one matrix product.

use crate::config::VisionConfig;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::linear;
use burn::tensor::{Device, Tensor, assert_shape};

/// The projection of patches.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// The kernel.
    pub proj: PatchKernel,
}

/// The kernel in the shape that checkpoints store.
#[derive(Module, Debug)]
pub struct PatchKernel {
    /// `[hidden, channels, frames, patch_size, patch_size]`
    pub weight: Param<Tensor<5>>,
}

impl PatchEmbed {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        let shape = [
            config.hidden_size,
            config.in_chans,
            config.temporal_patch_size,
            config.patch_size,
            config.patch_size,
        ];
        let initializer = Initializer::Normal { mean: 0.0, std: config.initializer_range };
        Self { proj: PatchKernel { weight: initializer.init(shape, device) } }
    }

    /// # Shapes
    /// - input: `[patches, patch_dim]`
    /// - output: `[patches, hidden]`
    #[must_use]
    pub fn forward(&self, patches: Tensor<2>) -> Tensor<2> {
        let kernel = self.proj.weight.val();
        let [hidden, channels, frames, height, width] = kernel.dims();
        let patch_dim = channels * frames * height * width;
        assert_shape!(patches, [.., patch_dim]);
        let kernel = kernel.reshape([hidden, patch_dim]);
        let dtype = kernel.dtype();
        linear(patches.cast(dtype), kernel.transpose(), None)
    }
}
