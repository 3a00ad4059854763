//! The optimizer on a module of one matrix and one vector.

use super::*;
use burn::tensor::{Device, TensorData};

#[derive(Module, Debug)]
struct Two {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

const CONFIG: AdamWConfig = AdamWConfig {
    matrices: MatrixRule::Adamw,
    beta_1: 0.9,
    beta_2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.5,
    average_decay: 0.0,
};

fn device() -> Device {
    crate::device::storage().expect("a processor").device
}

fn two(dtype: DType) -> Two {
    let device = device().autodiff();
    let matrix = Tensor::<2>::from_data([[1.0_f32, -2.0], [3.0, 0.5]], &device).cast(dtype);
    let vector = Tensor::<1>::from_data([1.0_f32, 2.0], &device).cast(dtype);
    Two {
        matrix: Param::from_tensor(matrix.require_grad()),
        vector: Param::from_tensor(vector.require_grad()),
    }
}

fn gradients(scale: f32) -> NamedGradients {
    let tensor = |values: &[f32]| {
        Tensor::<1>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device()) * scale
    };
    [("matrix".to_owned(), tensor(&[0.1, -0.2, 0.3, 0.4])), ("vector".to_owned(), tensor(&[0.5, -0.5]))]
        .into()
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// Steps too small for bf16 add up in the master; without it the weight would stay.
#[test]
fn masters_keep_what_half_precision_would_lose() {
    let (mut whole, mut half) = (two(DType::F32), two(DType::BF16));
    let (mut of_whole, mut of_half) = (AdamW::new(CONFIG), AdamW::new(CONFIG));
    for _ in 0..50 {
        whole = of_whole.update(whole, gradients(1.0), 1e-4);
        half = of_half.update(half, gradients(1.0), 1e-4);
    }
    assert!(of_whole.memories["matrix"].master.is_none(), "no master beside a weight in f32");
    assert_eq!(half.matrix.val().dtype(), DType::BF16);
    let master = of_half.memories["matrix"].master.clone().expect("a master");
    let whole = values(whole.matrix.val().inner());
    for (index, ((master, whole), half)) in
        values(master).iter().zip(&whole).zip(values(half.matrix.val().inner())).enumerate()
    {
        assert!((master - whole).abs() < 1e-6, "{index}: {master}, {whole}");
        assert!((half - whole).abs() < 0.01 * whole.abs(), "{index}: {half} is {whole} rounded");
    }
    // One step of 1e-4 is less than half of what bf16 can tell from 1.
    assert!((whole[0] - 1.0).abs() > 0.004);
}

#[test]
fn the_average_follows_the_weights() {
    let mut model = two(DType::F32);
    let mut optimizer = AdamW::new(AdamWConfig { average_decay: 0.5, ..CONFIG });
    let mut expected = values(model.matrix.val().inner());
    for _ in 0..3 {
        model = optimizer.update(model, gradients(1.0), 0.01);
        for (average, weight) in expected.iter_mut().zip(values(model.matrix.val().inner())) {
            *average = 0.5 * *average + 0.5 * weight;
        }
    }
    let averaged = values(optimizer.averaged(model.valid()).matrix.val());
    assert!(averaged.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-6));
    assert_ne!(averaged, values(model.matrix.val().inner()));
}

#[test]
fn a_state_that_was_saved_goes_on_as_if_it_had_not_been() {
    let config = AdamWConfig { average_decay: 0.9, ..CONFIG };
    let mut optimizer = AdamW::new(config);
    let mut model = optimizer.update(two(DType::BF16), gradients(1.0), 0.01);
    let path = std::env::temp_dir().join(format!("optimizer-{}.safetensors", std::process::id()));
    optimizer.save(&path).expect("room on the disk");
    let mut loaded = AdamW::load(config, &std::fs::read(&path).expect("a file"), &device()).expect("sound");
    std::fs::remove_file(&path).expect("our file");
    let mut other = model.clone();
    for step in 0..3 {
        model = optimizer.update(model, gradients(step as f32), 0.01);
        other = loaded.update(other, gradients(step as f32), 0.01);
    }
    for name in ["matrix", "vector"] {
        let (one, two) = (&optimizer.memories[name], &loaded.memories[name]);
        for (one, two) in [
            (&one.first, &two.first),
            (&one.second, &two.second),
            (&one.master, &two.master),
            (&one.average, &two.average),
        ] {
            let read = |tensor: &Option<Tensor<1>>| values(tensor.clone().expect("all four"));
            assert_eq!(read(one), read(two), "{name}");
        }
    }
    assert_eq!(values(model.matrix.val().inner()), values(other.matrix.val().inner()));
}

#[test]
fn parts_have_rates_of_their_own() {
    let rates = Rates { vision_tower: 1.0, merger: 2.0, language_model: 3.0 };
    let names = ["visual.patch_embed.proj.weight", "visual.merger.ln_q.weight", "lm_head.weight"];
    assert_eq!(names.map(|name| rates.of(name)), [1.0, 2.0, 3.0]);
}
