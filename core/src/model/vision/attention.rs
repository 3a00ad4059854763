//! Attention among the patches of a window or of an image.

use super::{Layout, Segments};
use crate::config::VisionConfig;
use crate::model::attend::attend;
use crate::model::{Linear, LinearConfig};
use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};

/// Projections of one vision block's attention.
#[derive(Module, Debug)]
pub struct VisionAttention {
    /// Query, key and value in one: `[3 × hidden, hidden]`, with bias
    pub qkv: Linear,
    /// `[hidden, hidden]`, with bias
    pub proj: Linear,
    heads: usize,
}

impl VisionAttention {
    /// Fresh weights.
    #[must_use]
    pub fn new(config: &VisionConfig, device: &Device) -> Self {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let project = |output| LinearConfig { input: hidden, output, bias: true, std }.init(device);
        Self { qkv: project(3 * hidden), proj: project(hidden), heads: config.num_heads }
    }

    /// # Shapes
    /// - input and output: `[patches, hidden]`
    #[must_use]
    pub fn forward(&self, input: Tensor<2>, layout: &Layout, segments: &Segments) -> Tensor<2> {
        let [patches, hidden] = input.dims();
        assert_shape!(input, [patches, hidden]);
        let (heads, head_dim) = (self.heads, hidden / self.heads);
        let qkv = self.qkv.forward(input).reshape([patches, 3, heads, head_dim]);
        let part = |index| qkv.clone().narrow(1, index, 1).swap_dims(0, 1).swap_dims(1, 2);
        // [1, heads, patches, head_dim]
        let query = layout.rotary.apply(part(0));
        let key = layout.rotary.apply(part(1));
        let value = part(2);
        let (count, longest) = (segments.count, segments.longest);
        let split = |states: Tensor<4>| {
            let states = match &segments.padding {
                Some(padding) => states.select(2, padding.gather.clone()),
                None => states,
            };
            states.reshape([heads, count, longest, head_dim]).swap_dims(0, 1)
        };
        let mask = segments.padding.as_ref().map(|padding| padding.mask.clone());
        let attended =
            attend(split(query), split(key), split(value), mask).reshape([count * longest, hidden]);
        let attended = match &segments.padding {
            Some(padding) => attended.select(0, padding.scatter.clone()),
            None => attended,
        };
        self.proj.forward(attended)
    }
}
