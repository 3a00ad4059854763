//! The whole vision tower.

use super::{Layout, Merger, PatchEmbed, VisionBlock};
use crate::config::{Architecture, VisionConfig};
use crate::image::Grid;
use burn::module::Module;
use burn::tensor::{Device, Tensor, assert_shape};

/// Patch embedding, blocks and merger.
#[derive(Module, Debug)]
pub struct VisionTower {
    /// Patches to vectors.
    pub patch_embed: PatchEmbed,
    /// The blocks, first to last.
    pub blocks: Vec<VisionBlock>,
    /// Patches to tokens.
    pub merger: Merger,
}

impl VisionTower {
    /// Fresh weights.
    #[must_use]
    pub fn new(architecture: Architecture, config: &VisionConfig, device: &Device) -> Self {
        Self {
            patch_embed: PatchEmbed::new(config, device),
            blocks: (0..config.depth).map(|_| VisionBlock::new(architecture, config, device)).collect(),
            merger: Merger::new(architecture, config, device),
        }
    }

    /// Looks at images that lie one after another.
    ///
    /// # Shapes
    /// - `patches`: `[patches, patch_dim]`, as [`crate::image::Patches`] lays them
    /// - output: `[merged, out_hidden]`, in the images' own order
    #[must_use]
    pub fn forward(&self, patches: Tensor<2>, grids: &[Grid], config: &VisionConfig) -> Tensor<2> {
        let layout = Layout::new(config, grids, &patches.device());
        let mut states = self.enter(patches, &layout, config);
        for index in 0..self.blocks.len() {
            states = self.pass(index, states, &layout, config);
        }
        self.leave(states, &layout)
    }

    /// What comes before the blocks: patches become vectors, in the order of the windows.
    ///
    /// # Shapes
    /// - `patches`: `[patches, patch_dim]`
    /// - output: `[patches, hidden]`
    #[must_use]
    pub fn enter(&self, patches: Tensor<2>, layout: &Layout, config: &VisionConfig) -> Tensor<2> {
        let [_, _, total, _] = layout.rotary.cos.dims();
        assert_shape!(patches, [total, config.patch_dim()]);
        let states = self.patch_embed.forward(patches);
        let Some(order) = &layout.order else { return states };
        let width = config.hidden_size * config.merge_area();
        let squares = states.reshape([total / config.merge_area(), width]);
        squares.select(0, order.clone()).reshape([total, config.hidden_size])
    }

    /// One block, among the patches of a window or of a whole image.
    ///
    /// # Shapes
    /// - input and output: `[patches, hidden]`
    #[must_use]
    pub fn pass(&self, index: usize, states: Tensor<2>, layout: &Layout, config: &VisionConfig) -> Tensor<2> {
        let whole = config.window_size == 0 || config.fullatt_block_indexes.contains(&index);
        let segments = if whole { &layout.images } else { &layout.windows };
        self.blocks[index].forward(states, layout, segments)
    }

    /// What comes after the blocks: squares of patches become tokens, in the images' own order.
    ///
    /// # Shapes
    /// - input: `[patches, hidden]`
    /// - output: `[merged, out_hidden]`
    #[must_use]
    pub fn leave(&self, states: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let tokens = self.merger.forward(states);
        match &layout.inverse {
            Some(inverse) => tokens.select(0, inverse.clone()),
            None => tokens,
        }
    }
}
