//! The vision tower with a head that names classes.

use super::pooling::{CELLS, pool};
use crate::checkpoint::{self, write_file_with};
use crate::run_folder::damaged;
use crate::streamed::Streamed;
use anyhow::{Context, Result, ensure};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::image::{Grid, Patches};
use fine_r1_core::model::vision::VisionTower;
use safetensors::{SafeTensors, serialize_to_file};
use std::path::Path;

/// The head's file in a saved state.
const FILE: &str = "classifier.safetensors";

/// The tower and its head.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The model's own.
    pub visual: VisionTower,
    /// What is thrown away at the end.
    pub classifier: Head,
}

/// A linear layer over an image's tokens, brought to a grid of one size.
#[derive(Module, Debug)]
pub struct Head {
    /// `[classes, cells × hidden]`
    weight: Param<Tensor<2>>,
    /// `[classes]`
    bias: Param<Tensor<1>>,
}

impl Head {
    /// A layer that finds all classes equally likely.
    #[must_use]
    pub fn new(hidden: usize, classes: usize, device: &Device) -> Self {
        Self {
            weight: Param::from_tensor(Tensor::zeros([classes, CELLS * hidden], device)),
            bias: Param::from_tensor(Tensor::zeros([classes], device)),
        }
    }

    /// Scores of all classes.
    ///
    /// # Shapes
    /// - `tokens`: `[merged, hidden]`, image after image
    /// - `sizes`: rows and columns of every image's tokens
    /// - output: `[images, classes]`
    #[must_use]
    pub fn forward(&self, tokens: Tensor<2>, sizes: &[[usize; 2]]) -> Tensor<2> {
        pool(tokens, sizes).matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }

    /// Writes the head beside a saved state's weights.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let [classes, width] = self.weight.dims();
        let weight = self.weight.val().reshape([classes * width]);
        let tensors = [
            ("weight", Streamed::new(weight, vec![classes, width], DType::F32)),
            ("bias", Streamed::new(self.bias.val(), vec![classes], DType::F32)),
        ];
        write_file_with(&folder.join(FILE), |path| Ok(serialize_to_file(tensors, None, path)?))
    }

    /// Reads back what [`Self::save`] wrote.
    ///
    /// # Errors
    /// The file is missing or damaged, or is of another data set or model.
    pub fn load(folder: &Path, hidden: usize, classes: usize, device: &Device) -> Result<Self> {
        let bytes = checkpoint::map(folder, FILE)?;
        let read = || -> Result<Self> {
            let file = SafeTensors::deserialize(&bytes)?;
            let values = |name: &str, shape: &[usize]| -> Result<TensorData> {
                let view = file.tensor(name)?;
                ensure!(view.shape() == shape, "`{name}` is {:?}, expected {shape:?}", view.shape());
                let fours = view.data().as_chunks::<4>().0;
                Ok(TensorData::new(fours.iter().map(|four| f32::from_le_bytes(*four)).collect(), shape))
            };
            let weight = Tensor::from_data(values("weight", &[classes, CELLS * hidden])?, device);
            let bias = Tensor::from_data(values("bias", &[classes])?, device);
            Ok(Self { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) })
        };
        read().with_context(|| damaged(&folder.join(FILE)))
    }
}

impl Classifier {
    /// The device that holds the weights.
    #[must_use]
    pub fn device(&self) -> Device {
        self.classifier.bias.val().device()
    }

    /// Scores of all classes for some images.
    ///
    /// # Shapes
    /// - output: `[images, classes]`
    #[must_use]
    pub fn forward(&self, images: &[&Patches], config: &ModelConfig) -> Tensor<2> {
        let vision = &config.vision;
        let grids: Vec<Grid> = images.iter().map(|image| image.grid).collect();
        let values: Vec<f32> = images.iter().flat_map(|image| image.values.iter().copied()).collect();
        let total = grids.iter().map(Grid::patches).sum();
        let patches = Tensor::from_data(
            TensorData::new(values, [total, vision.patch_dim()]),
            (&self.device(), DType::F32),
        );
        let tokens = self.visual.forward(patches, &grids, vision).cast(DType::F32);
        let merge = vision.spatial_merge_size;
        let sizes: Vec<_> = grids.iter().map(|grid| [grid.t * grid.h / merge, grid.w / merge]).collect();
        self.classifier.forward(tokens, &sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::Initializer;

    #[test]
    fn a_head_reads_back_what_it_wrote() {
        let folder = std::env::temp_dir().join(format!("classifier-{}", std::process::id()));
        checkpoint::create_folder(&folder).expect("a folder");
        let device = Device::flex();
        let mut head = Head::new(6, 3, &device);
        head.weight = Initializer::Normal { mean: 0.0, std: 1.0 }.init([3, CELLS * 6], &device);
        head.save(&folder).expect("written");
        let scores = |head: &Head| {
            let tokens = Tensor::<2>::from_data([[1.0, -2.0, 0.5, 3.0, 0.0, 1.0]], &device);
            head.forward(tokens, &[[1, 1]]).into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let read = Head::load(&folder, 6, 3, &device).expect("read");
        assert_eq!(scores(&read), scores(&head));
        let error = Head::load(&folder, 6, 4, &device).expect_err("another number of classes");
        assert!(format!("{error:#}").contains("`weight` is [3, 96], expected [4, 96]"), "{error:#}");
        std::fs::remove_dir_all(folder).expect("our folder");
    }
}
