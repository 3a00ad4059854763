//! The vision tower: every stage, and the features that the language model gets.

use burn::tensor::{DType, Tensor, TensorData};
use fine_r1_core::image::Grid;
use fine_r1_core::model::vision::Layout;
use fine_r1_tests::{CASES, CHECKPOINTS, Largest, ModelCase, load, prepare};

/// Sums of some dozens of products of numbers below ten, in another order than torch's.
const STAGES: f32 = 2e-4;
/// The same after the merger's two layers.
const FEATURES: f32 = 1e-4;

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert_dtype(DType::F32).as_slice::<f32>().expect("numbers").to_vec()
}

/// Walks the tower as its `forward` does, and looks at what stands between the stages. Blocks and
/// merger are compared in the tower's own order, window by window, where the reference has them too.
#[test]
fn every_stage_of_the_tower_is_that_of_transformers() {
    let mut largest = Largest::new("vision stages", STAGES);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let (case, tensors) = ModelCase::read(checkpoint, "one-image");
        let prompt = prepare(&recognizer, &case.messages).prompt;
        let (tower, config) = (&recognizer.model().visual, &recognizer.processor().config().vision);
        let grids: Vec<Grid> = prompt.images.iter().map(|image| image.grid).collect();
        let [patches, hidden] = [grids[0].patches(), config.hidden_size];
        let device = recognizer.model().device();
        let values = TensorData::new(prompt.images[0].values.clone(), [patches, config.patch_dim()]);
        let layout = Layout::new(config, &grids, &device);

        let mut states = tower.patch_embed.forward(Tensor::from_data(values, &device));
        let mut stage = |name: &str, found: Tensor<2>| {
            let expected = tensors.floats(&format!("stage.vision.{name}"));
            assert_eq!(found.dims().as_slice(), expected.shape, "{checkpoint} {name}");
            largest.compare(&format!("{checkpoint} {name}"), &floats(found), &expected.values);
        };
        stage("patch_embed", states.clone());
        if let Some(order) = &layout.order {
            let area = config.merge_area();
            let squares = states.reshape([patches / area, area * hidden]);
            states = squares.select(0, order.clone()).reshape([patches, hidden]);
        }
        for (index, block) in tower.blocks.iter().enumerate() {
            let whole = config.window_size == 0 || config.fullatt_block_indexes.contains(&index);
            states = block.forward(states, &layout, if whole { &layout.images } else { &layout.windows });
            stage(&format!("blocks.{index}"), states.clone());
        }
        stage("merger", tower.merger.forward(states));
    }
    largest.check();
}

/// The tests above prove little unless the golden pictures make the tower reorder its patches, and
/// clip windows at an edge.
#[test]
fn the_golden_pictures_are_cut_into_windows_of_different_sizes() {
    for (checkpoint, has_windows) in
        [("qwen2_5_vl-untied", true), ("qwen2_5_vl-tied-bf16", true), ("qwen2_vl", false)]
    {
        let recognizer = load(checkpoint);
        let config = &recognizer.processor().config().vision;
        let (mut reordered, mut clipped) = (false, false);
        for case in CASES {
            let (case, _) = ModelCase::read(checkpoint, case);
            for [t, h, w] in case.image_grid_thw {
                let layout = Layout::new(config, &[Grid { t, h, w }], &recognizer.model().device());
                reordered |= layout.order.is_some();
                clipped |= layout.windows.padding.is_some();
            }
        }
        assert_eq!((reordered, clipped), (has_windows, has_windows), "{checkpoint}");
    }
}

#[test]
fn features_are_those_of_transformers() {
    let mut largest = Largest::new("vision features", FEATURES);
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in CASES {
            let (expected, tensors) = ModelCase::read(checkpoint, case);
            let prompt = prepare(&recognizer, &expected.messages).prompt;
            let images: Vec<_> = prompt.images.iter().map(AsRef::as_ref).collect();
            let Some(found) = recognizer.model().look(&images, recognizer.processor().config()) else {
                assert_eq!(case, "text-only", "{checkpoint}");
                continue;
            };
            let expected = tensors.floats("vision_features");
            assert_eq!(found.dims().as_slice(), expected.shape, "{checkpoint} {case}");
            largest.compare(&format!("{checkpoint} {case}"), &floats(found), &expected.values);
        }
    }
    largest.check();
}
