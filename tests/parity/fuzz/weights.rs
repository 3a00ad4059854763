//! Weight files.

use crate::allocation::watch;
use crate::edits::{edits, graft, grafts, spoil};
use crate::fuzz;
use burn::tensor::Device;
use fine_r1_core::config::ModelConfig;
use fine_r1_core::model::VisionLanguageModel;
use fine_r1_core::weights::{Loader, Precision, check_names, read_header};
use fine_r1_tests::golden;
use proptest::prelude::{Just, Strategy, prop_oneof};
use proptest::prop_assert;
use proptest::test_runner::TestCaseError;
use serde_json::Value;
use std::fs;

const CHECKPOINT: &str = "checkpoints/qwen2_5_vl-tied-bf16";

/// A file whose bytes are spoilt here and there, or whose header is other JSON of the right length.
fn spoilt() -> impl Strategy<Value = Vec<u8>> {
    let file = fs::read(golden(CHECKPOINT).join("model.safetensors")).expect("a weight file");
    let length = u64::from_le_bytes(*file.first_chunk().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).expect("a header");
    let body = file[8 + length..].to_vec();
    let reach = prop_oneof![Just(16_usize), Just(8 + length), Just(usize::MAX)];
    prop_oneof![
        (edits(), reach).prop_map(move |(edits, reach)| spoil(&file, &edits, reach)),
        grafts().prop_map(move |grafts| {
            let header = graft(&header, &grafts).to_string().into_bytes();
            [(header.len() as u64).to_le_bytes().as_slice(), &header, &body].concat()
        }),
    ]
}

#[test]
fn spoilt_headers_are_read_or_refused() {
    let text = fs::read_to_string(golden(CHECKPOINT).join("config.json")).expect("a config");
    let model =
        VisionLanguageModel::new(&ModelConfig::from_json(&text).expect("a usable config"), &Device::flex());
    fuzz("spoilt headers", 5000, spoilt(), |bytes| {
        let (header, largest) = watch(|| read_header("model.safetensors", &bytes));
        prop_assert!(largest <= 64 * bytes.len() + (64 << 10), "{largest} bytes at once for {}", bytes.len());
        if let Ok(tensors) = header {
            let total: usize = tensors.iter().map(|tensor| tensor.bytes).sum();
            prop_assert!(total <= bytes.len(), "tensors of {total} bytes in a file of {}", bytes.len());
            drop(check_names(&model, &tensors));
        }
        Ok(())
    });
}

#[test]
fn spoilt_weights_are_loaded_or_refused() {
    let text = fs::read_to_string(golden(CHECKPOINT).join("config.json")).expect("a config");
    let config = ModelConfig::from_json(&text).expect("a usable config");
    fuzz("spoilt weights", 2000, spoilt(), |bytes| {
        let mut loader =
            Loader::new(VisionLanguageModel::new(&config, &Device::flex()), Some(Precision::F32));
        let (added, largest) = watch(|| loader.add("model.safetensors", &bytes));
        prop_assert!(largest <= 64 * bytes.len() + (64 << 10), "{largest} bytes at once for {}", bytes.len());
        match added.and_then(|()| loader.finish()) {
            Ok(_) => {}
            Err(error) => {
                prop_assert!(!error.hint().is_empty(), "{error}");
                let lines = error.to_string().lines().count();
                if lines > 20 {
                    return Err(TestCaseError::fail(format!("an error of {lines} lines")));
                }
            }
        }
        Ok(())
    });
}
