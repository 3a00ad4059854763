//! Configuration files.

use crate::allocation::watch;
use crate::edits::{edits, graft, grafts, spoil};
use crate::fuzz;
use burn::tensor::Device;
use fine_r1_core::config::{GenerationConfig, ModelConfig, PreprocessorConfig};
use fine_r1_core::generate::{Sampler, SamplingOptions};
use fine_r1_core::image::preprocess;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::weights::{Precision, plan_shards};
use fine_r1_tests::{CHECKPOINTS, read_json};
use image::RgbImage;
use proptest::prelude::Strategy;
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq, sample};
use serde_json::Value;
use std::panic::catch_unwind;

/// Most layers of a model that is really built here.
const MAX_LAYERS: usize = 64;

fn spoilt(file: &str) -> impl Strategy<Value = String> {
    let trees: Vec<Value> =
        CHECKPOINTS.iter().map(|checkpoint| read_json(&format!("checkpoints/{checkpoint}/{file}"))).collect();
    (sample::select(trees), grafts(), proptest::option::weighted(0.2, edits())).prop_map(
        |(tree, grafts, edits)| {
            let text = graft(&tree, &grafts).to_string();
            match edits {
                Some(edits) => {
                    String::from_utf8_lossy(&spoil(text.as_bytes(), &edits, usize::MAX)).into_owned()
                }
                None => text,
            }
        },
    )
}

/// Strange numbers may lose their last bit on the way through text.
fn nearly(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-12 * left.abs().max(right.abs())
}

fn floats(config: &ModelConfig) -> [f64; 6] {
    let (text, vision) = (&config.text, &config.vision);
    [
        text.rms_norm_eps,
        text.rope_theta,
        text.initializer_range,
        text.attention_dropout,
        vision.tokens_per_second.as_f64().unwrap_or_default(),
        vision.initializer_range,
    ]
}

/// A block whose weights are not drawn yet takes less: some hundred names and shapes.
const BLOCK_BYTES: usize = 8 << 10;

fn without_floats(mut config: ModelConfig) -> ModelConfig {
    let (text, vision) = (&mut config.text, &mut config.vision);
    for float in [
        &mut text.rms_norm_eps,
        &mut text.rope_theta,
        &mut text.initializer_range,
        &mut text.attention_dropout,
        &mut vision.initializer_range,
    ] {
        *float = 0.0;
    }
    vision.tokens_per_second = 0.into();
    config
}

fn in_proportion(text: &str, largest: usize) -> Result<(), TestCaseError> {
    prop_assert!(
        largest <= 64 * text.len() + (64 << 10),
        "{largest} bytes at once for {} of text",
        text.len()
    );
    Ok(())
}

#[test]
fn spoilt_model_configs_are_read_or_refused() {
    let device = Device::flex();
    fuzz("spoilt config.json", 10_000, spoilt("config.json"), |text| {
        let (parsed, largest) = watch(|| ModelConfig::from_json(&text));
        in_proportion(&text, largest)?;
        let Ok(config) = parsed else { return Ok(()) };
        let written = config.to_json();
        let again =
            ModelConfig::from_json(&written).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(
            floats(&again).iter().zip(floats(&config)).all(|(again, first)| nearly(*again, first)),
            "{}",
            written
        );
        prop_assert_eq!(without_floats(again), without_floats(config.clone()), "{}", written);
        let layers = config.text.num_hidden_layers + config.vision.depth;
        if layers <= MAX_LAYERS {
            // Nothing is drawn yet, so any sizes will do.
            let (shards, largest) = watch(|| {
                plan_shards(&VisionLanguageModel::new(&config, &device), Precision::F32, usize::MAX)
            });
            prop_assert!(largest <= layers * BLOCK_BYTES + (64 << 10), "{largest} bytes for {layers} layers");
            prop_assert_eq!(shards.len(), 1);
        }
        Ok(())
    });
}

#[test]
fn spoilt_generation_configs_are_read_or_refused() {
    fuzz("spoilt generation_config.json", 10_000, spoilt("generation_config.json"), |text| {
        let (parsed, largest) = watch(|| GenerationConfig::from_json(&text));
        in_proportion(&text, largest)?;
        if let Ok(config) = parsed {
            let options = SamplingOptions::from_checkpoint(&config);
            let id = Sampler::new(0, 0, &[1, 2], 4).choose(&mut [0.5, -1.0, 2.0, 0.0], &options);
            prop_assert!(id < 4, "{id} from {options:?}");
        }
        Ok(())
    });
}

#[test]
fn spoilt_preprocessor_configs_are_read_or_refused() {
    /// Areas beyond this are legal but take long; that they end in an error is tested elsewhere.
    const MAX_PIXELS: u64 = 1 << 20;
    let photo = RgbImage::from_pixel(5, 3, image::Rgb([10, 200, 90]));
    fuzz("spoilt preprocessor_config.json", 10_000, spoilt("preprocessor_config.json"), |text| {
        let (parsed, largest) = watch(|| PreprocessorConfig::from_json(&text));
        in_proportion(&text, largest)?;
        if let Ok(config) = parsed.as_ref()
            && config.min_pixels <= MAX_PIXELS
        {
            let settings = config.settings();
            let unit = (settings.patch_size * settings.merge_size) as u64;
            if unit * unit <= MAX_PIXELS {
                drop(preprocess(&photo, &settings));
            }
        }
        Ok(())
    });
}

/// What would take terabytes, or overflow a product of sizes, is refused when the file is read.
#[test]
fn sizes_beyond_reason_are_refused() {
    let mut accepted = Vec::new();
    for (place, value) in [
        ("/num_hidden_layers", 1_u64 << 24),
        ("/num_hidden_layers", 100_000),
        ("/vision_config/depth", 100_000),
        ("/vision_config/patch_size", 100_000),
        ("/vision_config/spatial_merge_size", 8192),
        ("/vision_config/temporal_patch_size", 100_000),
        ("/rope_scaling/mrope_section/0", 1 << 63),
    ] {
        for checkpoint in ["qwen2_5_vl-untied", "qwen2_vl"] {
            let mut config: Value = read_json(&format!("checkpoints/{checkpoint}/config.json"));
            *config.pointer_mut(place).expect("a field") = value.into();
            let read = catch_unwind(|| ModelConfig::from_json(&config.to_string()).is_err());
            if !matches!(read, Ok(true)) {
                accepted.push(format!("{checkpoint}: config.json: {place} = {value}"));
            }
        }
    }
    // A large upper limit is harmless, since photos have limits of their own; a large lower one is not.
    let mut config: Value = read_json("checkpoints/qwen2_5_vl-untied/preprocessor_config.json");
    config["max_pixels"] = (1_u64 << 40).into();
    assert!(PreprocessorConfig::from_json(&config.to_string()).is_ok());
    config["min_pixels"] = (1_u64 << 40).into();
    if PreprocessorConfig::from_json(&config.to_string()).is_ok() {
        accepted.push("preprocessor_config.json: min_pixels = 2^40".to_owned());
    }
    assert!(accepted.is_empty(), "\n{}", accepted.join("\n"));
}
