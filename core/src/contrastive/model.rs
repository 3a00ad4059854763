//! Both towers, and what brings their states into one space.

use super::{ContrastiveConfig, Family, Pixels, TextTower, VisionTower};
use crate::model::{Linear, LinearConfig};
use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// The model of a CLIP or SigLIP checkpoint.
#[derive(Module, Debug)]
pub struct ContrastiveModel {
    /// Reads.
    pub text_model: TextTower,
    /// Looks.
    pub vision_model: VisionTower,
    /// `[width, hidden]`, in CLIP alone
    pub text_projection: Option<Linear>,
    /// `[width, hidden]`, in CLIP alone
    pub visual_projection: Option<Linear>,
    /// Logarithm of what cosines are multiplied by: `[1]`
    pub logit_scale: Param<Tensor<1>>,
    /// Added after that: `[1]`, in SigLIP alone
    pub logit_bias: Option<Param<Tensor<1>>>,
}

impl ContrastiveModel {
    /// Fresh weights, drawn when first used.
    #[must_use]
    pub fn new(config: &ContrastiveConfig, device: &Device) -> Self {
        let is_clip = config.family == Family::Clip;
        let project = |input| {
            let sizes = LinearConfig { input, output: config.width, bias: false, std: 0.02 };
            is_clip.then(|| sizes.init(device))
        };
        Self {
            text_model: TextTower::new(config, device),
            vision_model: VisionTower::new(config, device),
            text_projection: project(config.text.hidden_size),
            visual_projection: project(config.vision.hidden_size),
            logit_scale: Initializer::Ones.init([1], device),
            logit_bias: (!is_clip).then(|| Initializer::Zeros.init([1], device)),
        }
    }

    /// Unit vectors of texts.
    ///
    /// # Shapes
    /// - `texts`: see [`TextTower::forward`]
    /// - output: `[batch, width]`, f32
    #[must_use]
    pub fn embed_texts(&self, texts: &[Vec<u32>], config: &ContrastiveConfig) -> Tensor<2> {
        let states = self.text_model.forward(texts, config);
        unit(match &self.text_projection {
            Some(project) => project.forward(states),
            None => states,
        })
    }

    /// Unit vectors of photos.
    ///
    /// # Shapes
    /// - output: `[batch, width]`, f32
    #[must_use]
    pub fn embed_photos(&self, photos: &[Pixels], config: &ContrastiveConfig) -> Tensor<2> {
        let values: Vec<f32> = photos.iter().flat_map(|photo| photo.values.iter().copied()).collect();
        let shape = [photos.len(), config.side() * config.side(), config.patch_dim()];
        let device = self.logit_scale.val().device();
        let patches = Tensor::from_data(TensorData::new(values, shape), (&device, DType::F32));
        let states = self.vision_model.forward(patches, config);
        unit(match &self.visual_projection {
            Some(project) => project.forward(states),
            None => states,
        })
    }

    /// What training compares: cosines, scaled, and in SigLIP shifted.
    ///
    /// # Shapes
    /// - `photos`: `[photos, width]`, `texts`: `[texts, width]`, both of unit length
    /// - output: `[photos, texts]`, f32
    #[must_use]
    pub fn logits(&self, photos: Tensor<2>, texts: Tensor<2>) -> Tensor<2> {
        let scale = self.logit_scale.val().cast(DType::F32).exp().reshape([1, 1]);
        let logits = photos.matmul(texts.transpose()) * scale;
        match &self.logit_bias {
            Some(bias) => logits + bias.val().cast(DType::F32).reshape([1, 1]),
            None => logits,
        }
    }
}

fn unit(states: Tensor<2>) -> Tensor<2> {
    let states = states.cast(DType::F32);
    let length = states.clone().square().sum_dim(1).sqrt();
    states / length
}
