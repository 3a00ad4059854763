//! The vision tower with a head that names classes.

use super::pooling::pool;
use crate::checkpoint::{self, write_file_with};
use crate::run_folder::damaged;
use crate::streamed::Streamed;
use anyhow::{Context, Result, ensure};
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use fine_r1_core::config::ModelConfig;
use fine_r1_core::image::{Grid, Patches};
use fine_r1_core::model::vision::VisionTower;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{SafeTensors, serialize_to_file};
use std::path::Path;

/// The head's file in a saved state.
const FILE: &str = "classifier.safetensors";
/// Means that are taken of every image's tokens.
const QUERIES: usize = 8;

/// The tower and its head.
#[derive(Module, Debug)]
pub struct Classifier {
    /// The model's own.
    pub visual: VisionTower,
    /// What is thrown away at the end.
    pub classifier: Head,
}

/// A linear layer over some means of an image's tokens, each weighted by attention to a query of its own:
/// <https://arxiv.org/abs/2106.04560>, section 3.4. Means, because that is how a language model's attention
/// reads the tokens later.
#[derive(Module, Debug)]
pub struct Head {
    /// `[queries, hidden]`
    queries: Param<Tensor<2>>,
    /// `[classes, queries × hidden]`
    weight: Param<Tensor<2>>,
    /// `[classes]`
    bias: Param<Tensor<1>>,
}

impl Head {
    /// Queries that the seed draws, and a layer that finds all classes equally likely.
    #[must_use]
    pub fn new(hidden: usize, classes: usize, seed: u64, device: &Device) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Of variance one.
        let draw = |_| 3_f32.sqrt() * random.random_range(-1.0..=1.0);
        let queries = TensorData::new((0..QUERIES * hidden).map(draw).collect(), [QUERIES, hidden]);
        Self {
            queries: Param::from_tensor(Tensor::from_data(queries, device)),
            weight: Param::from_tensor(Tensor::zeros([classes, QUERIES * hidden], device)),
            bias: Param::from_tensor(Tensor::zeros([classes], device)),
        }
    }

    /// Scores of all classes.
    ///
    /// # Shapes
    /// - `tokens`: `[merged, hidden]`, image after image
    /// - `counts`: the tokens of every image
    /// - output: `[images, classes]`
    #[must_use]
    pub fn forward(&self, tokens: Tensor<2>, counts: &[usize]) -> Tensor<2> {
        let means = pool(tokens, self.queries.val(), counts);
        means.matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }

    /// Writes the head beside a saved state's weights.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let matrix = |param: &Param<Tensor<2>>| {
            let [rows, columns] = param.dims();
            let values = param.val().reshape([rows * columns]);
            Streamed::new(values, vec![rows, columns], DType::F32)
        };
        let [classes] = self.bias.dims();
        let tensors = [
            ("queries", matrix(&self.queries)),
            ("weight", matrix(&self.weight)),
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
            let matrix = |name, shape: [usize; 2]| -> Result<_> {
                Ok(Param::from_tensor(Tensor::from_data(values(name, &shape)?, device)))
            };
            Ok(Self {
                queries: matrix("queries", [QUERIES, hidden])?,
                weight: matrix("weight", [classes, QUERIES * hidden])?,
                bias: Param::from_tensor(Tensor::from_data(values("bias", &[classes])?, device)),
            })
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
        let counts: Vec<usize> = grids.iter().map(|grid| grid.patches() / vision.merge_area()).collect();
        self.classifier.forward(tokens, &counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back_what_it_wrote() {
        let folder = std::env::temp_dir().join(format!("classifier-{}", std::process::id()));
        checkpoint::create_folder(&folder).expect("a folder");
        let device = Device::flex();
        let head = Head::new(6, 3, 5, &device);
        head.save(&folder).expect("written");
        let tokens = || {
            Tensor::<2>::from_data(
                [[1.0, -2.0, 0.5, 3.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0, -1.0, 0.0]],
                &device,
            )
        };
        let read = Head::load(&folder, 6, 3, &device).expect("read");
        assert_eq!(
            pool(tokens(), read.queries.val(), &[2]).into_data(),
            pool(tokens(), head.queries.val(), &[2]).into_data()
        );
        assert_eq!(read.forward(tokens(), &[1, 1]).into_data().iter::<f32>().collect::<Vec<_>>(), [0.0; 6]);
        let error = Head::load(&folder, 6, 4, &device).expect_err("another number of classes");
        assert!(format!("{error:#}").contains("`weight` is [3, 48], expected [4, 48]"), "{error:#}");
        std::fs::remove_dir_all(folder).expect("our folder");
    }
}
