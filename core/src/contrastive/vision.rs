//! The tower that looks: the patches of a square photo to one state.

use super::text::table;
use super::{ContrastiveConfig, Encoder, Family, PoolingHead};
use crate::model::LayerNorm;
use crate::model::language::Embedding;
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{Device, Tensor, assert_shape};

/// Embeddings, layers, norms, and SigLIP's pooling.
#[derive(Module, Debug)]
pub struct VisionTower {
    /// Vectors of patches and places.
    pub embeddings: VisionEmbeddings,
    /// Before the layers, in CLIP alone; misspelled so on disk.
    pub pre_layrnorm: Option<LayerNorm>,
    /// The layers.
    pub encoder: Encoder,
    /// After them: over all patches in SigLIP, over the class token in CLIP.
    pub post_layernorm: LayerNorm,
    /// In SigLIP alone.
    pub head: Option<PoolingHead>,
}

/// A vector for every patch and for every place, and CLIP's class token.
#[derive(Module, Debug)]
pub struct VisionEmbeddings {
    /// `[hidden]`, in CLIP alone
    pub class_embedding: Option<Param<Tensor<1>>>,
    /// A convolution whose stride is its kernel.
    pub patch_embedding: PatchKernel,
    /// `[patches, hidden]`, one row more with a class token
    pub position_embedding: Embedding,
}

/// The kernel in the shape that checkpoints store.
#[derive(Module, Debug)]
pub struct PatchKernel {
    /// `[hidden, 3, patch_size, patch_size]`
    pub weight: Param<Tensor<4>>,
    /// `[hidden]`, in SigLIP alone
    pub bias: Option<Param<Tensor<1>>>,
}

impl VisionTower {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &ContrastiveConfig, device: &Device) -> Self {
        let (hidden, patch) = (config.vision.hidden_size, config.patch_size);
        let norm = || LayerNorm::new(hidden, config.vision.layer_norm_eps, device);
        let normal = Initializer::Normal { mean: 0.0, std: 0.02 };
        let is_clip = config.family == Family::Clip;
        let places = config.side() * config.side() + usize::from(is_clip);
        Self {
            embeddings: VisionEmbeddings {
                class_embedding: is_clip.then(|| normal.init([hidden], device)),
                patch_embedding: PatchKernel {
                    weight: normal.init([hidden, 3, patch, patch], device),
                    bias: (!is_clip).then(|| Initializer::Zeros.init([hidden], device)),
                },
                position_embedding: table(places, hidden, device),
            },
            pre_layrnorm: is_clip.then(norm),
            encoder: Encoder::new(&config.vision, device),
            post_layernorm: norm(),
            head: (!is_clip).then(|| PoolingHead::new(&config.vision, device)),
        }
    }

    /// # Shapes
    /// - `patches`: `[batch, patches, patch_dim]`, as [`super::Pixels`] has them
    /// - output: `[batch, hidden]`
    #[must_use]
    pub fn forward(&self, patches: Tensor<3>, config: &ContrastiveConfig) -> Tensor<2> {
        let mut states = self.embeddings.forward(patches);
        if let Some(norm) = &self.pre_layrnorm {
            states = norm.forward(states);
        }
        let states = self.encoder.forward(states, None, config.vision.activation);
        let [batch, _, hidden] = states.dims();
        match &self.head {
            Some(head) => head.forward(self.post_layernorm.forward(states), &config.vision),
            None => self.post_layernorm.forward(states.narrow(1, 0, 1).reshape([batch, hidden])),
        }
    }
}

impl VisionEmbeddings {
    /// # Shapes
    /// - `patches`: `[batch, patches, patch_dim]`
    /// - output: `[batch, patches, hidden]`, one place more with a class token, which comes first
    #[must_use]
    pub fn forward(&self, patches: Tensor<3>) -> Tensor<3> {
        let kernel = self.patch_embedding.weight.val();
        let [hidden, channels, height, width] = kernel.dims();
        let patch_dim = channels * height * width;
        let [batch, count, _] = patches.dims();
        assert_shape!(patches, [batch, count, patch_dim]);
        let dtype = kernel.dtype();
        let kernel = kernel.reshape([hidden, patch_dim]).transpose();
        let mut states = patches.cast(dtype).reshape([batch * count, patch_dim]).matmul(kernel);
        if let Some(bias) = &self.patch_embedding.bias {
            states = states + bias.val().unsqueeze();
        }
        let mut states = states.reshape([batch, count, hidden]);
        if let Some(class) = &self.class_embedding {
            let class = class.val().reshape([1, 1, hidden]).expand([batch, 1, hidden]);
            states = Tensor::cat(vec![class, states], 1);
        }
        states + self.position_embedding.weight.val().unsqueeze::<3>()
    }
}
