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
        let total: usize = grids.iter().map(Grid::patches).sum();
        assert_shape!(patches, [total, config.patch_dim()]);
        let device = patches.device();
        let layout = Layout::new(config, grids, &device);
        let mut states = self.patch_embed.forward(patches);
        if let Some(order) = &layout.order {
            let width = config.hidden_size * config.merge_area();
            let squares = states.reshape([total / config.merge_area(), width]);
            states = squares.select(0, order.clone()).reshape([total, config.hidden_size]);
        }
        for (index, block) in self.blocks.iter().enumerate() {
            let whole = config.window_size == 0 || config.fullatt_block_indexes.contains(&index);
            let segments = if whole { &layout.images } else { &layout.windows };
            states = block.forward(states, &layout, segments);
        }
        let tokens = self.merger.forward(states);
        match &layout.inverse {
            Some(inverse) => tokens.select(0, inverse.clone()),
            None => tokens,
        }
    }
}
