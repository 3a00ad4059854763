//! Checkpoints out and in again.

use burn::tensor::{DType, Device};
use fine_r1_core::config::{ModelConfig, PRESETS, preset};
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::weights::{
    Loader, Precision, Shard, ShardIndex, check_names, encode_shard, plan_shards, read_header, shard_index,
};
use fine_r1_tests::{CHECKPOINTS, ModelCase, golden, load, load_folder, prepare, read_json};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

fn encode(model: &VisionLanguageModel, shards: &[Shard], precision: Precision) -> Vec<(String, Vec<u8>)> {
    let encode = |shard: &Shard| pollster::block_on(encode_shard(model, shard, precision)).expect("weights");
    shards.iter().map(|shard| (shard.file.clone(), encode(shard))).collect()
}

fn reload(
    config: &ModelConfig,
    files: &[(String, Vec<u8>)],
    precision: Option<Precision>,
) -> VisionLanguageModel {
    let mut loader = Loader::new(VisionLanguageModel::new(config, &Device::flex()), precision);
    for (name, bytes) in files {
        loader.add(name, bytes).expect("a sound file");
    }
    let (model, report) = loader.finish().expect("all weights");
    assert!(report.odd.is_empty(), "{:?}", report.odd);
    model
}

fn logits(model: &VisionLanguageModel, config: &ModelConfig, prompt: &Prompt) -> Vec<f32> {
    let states = model.read(model.embed(&[prompt], PaddingSide::Right, config), None, config);
    let [_, seq, hidden] = states.dims();
    let data = model.logits(states.reshape([seq, hidden])).into_data().convert_dtype(DType::F32);
    data.as_slice::<f32>().expect("numbers").to_vec()
}

/// Names and shapes as the checkpoint's own files have them, in the published spelling.
fn stored(checkpoint: &str) -> BTreeMap<String, Vec<usize>> {
    let folder = golden("checkpoints").join(checkpoint);
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            for tensor in read_header("", &fs::read(path).expect("a file")).expect("a header") {
                let name = tensor
                    .name
                    .replace("model.language_model.", "model.")
                    .replace("model.visual.", "visual.");
                found.insert(name, tensor.shape);
            }
        }
    }
    found
}

#[test]
fn what_is_saved_loads_to_the_same_logits() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let config = recognizer.processor().config();
        let (case, _) = ModelCase::read(checkpoint, "two-images");
        let prompt = prepare(&recognizer, &case.messages).prompt;
        let expected = logits(recognizer.model(), config, &prompt);
        for max_bytes in [usize::MAX, 100_000, 1] {
            let shards = plan_shards(recognizer.model(), Precision::F32, max_bytes);
            let files = encode(recognizer.model(), &shards, Precision::F32);
            let model = reload(config, &files, Some(Precision::F32));
            assert_eq!(logits(&model, config, &prompt), expected, "{checkpoint}: files of {max_bytes} bytes");
            // The order of files does not matter.
            let reversed: Vec<_> = files.into_iter().rev().collect();
            let model = reload(config, &reversed, None);
            assert_eq!(logits(&model, config, &prompt), expected, "{checkpoint}: files in reverse");
        }
    }
}

#[test]
fn a_bf16_checkpoint_survives_bf16_files() {
    let recognizer = load("qwen2_5_vl-tied-bf16");
    let config = recognizer.processor().config();
    let (case, _) = ModelCase::read("qwen2_5_vl-tied-bf16", "one-image");
    let prompt = prepare(&recognizer, &case.messages).prompt;
    let shards = plan_shards(recognizer.model(), Precision::Bf16, usize::MAX);
    let files = encode(recognizer.model(), &shards, Precision::Bf16);
    let model = reload(config, &files, Some(Precision::F32));
    assert_eq!(logits(&model, config, &prompt), logits(recognizer.model(), config, &prompt));
    let as_stored = reload(config, &files, None);
    assert_eq!(as_stored.dtype(), DType::BF16, "without a wish the files' precision is kept");
    let golden = load_folder(&golden("checkpoints/qwen2_5_vl-tied-bf16"), None);
    assert_eq!(golden.model().dtype(), DType::BF16);
}

#[test]
fn saved_files_have_the_published_names_and_shapes() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let shards = plan_shards(recognizer.model(), Precision::F16, 64 << 10);
        assert!(shards.len() > 1, "{checkpoint}");
        let mut found = BTreeMap::new();
        for (name, bytes) in encode(recognizer.model(), &shards, Precision::F16) {
            for tensor in read_header(&name, &bytes).expect("a header") {
                assert_eq!(tensor.precision, Some(Precision::F16), "{checkpoint} {}", tensor.name);
                assert_eq!(
                    tensor.bytes,
                    tensor.shape.iter().product::<usize>() * 2,
                    "{checkpoint} {}",
                    tensor.name
                );
                let before = found.insert(tensor.name.clone(), tensor.shape);
                assert!(before.is_none(), "{checkpoint}: {} is saved twice", tensor.name);
            }
        }
        assert_eq!(found, stored(checkpoint), "{checkpoint}");
        // Readers of the format ask for this entry.
        let (_, bytes) = &encode(recognizer.model(), &shards[..1], Precision::F16)[0];
        let header = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..8 + header]).expect("a header");
        assert_eq!(header["__metadata__"]["format"], "pt", "{checkpoint}");
    }
}

#[test]
fn several_files_have_an_index() {
    let recognizer = load("qwen2_5_vl-untied");
    let single = plan_shards(recognizer.model(), Precision::F32, usize::MAX);
    assert_eq!(single.len(), 1);
    assert_eq!(single[0].file, ShardIndex::SINGLE);
    assert_eq!(shard_index(&single), None);

    let shards = plan_shards(recognizer.model(), Precision::F32, 200_000);
    assert!(shards.len() > 2, "{} files", shards.len());
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        assert_eq!(shard.file, name);
        assert!(shard.bytes <= 200_000 || shard.tensors.len() == 1, "{shard:?}");
    }
    let text = shard_index(&shards).expect("an index");
    let files: Vec<String> = shards.iter().map(|shard| shard.file.clone()).collect();
    assert_eq!(ShardIndex::from_json(&text).expect("a readable index").files(), files);

    let index: Value = serde_json::from_str(&text).expect("JSON");
    let published: Value = read_json("checkpoints/qwen2_5_vl-untied/model.safetensors.index.json");
    let names = |index: &Value| -> BTreeSet<String> {
        index["weight_map"].as_object().expect("a map").keys().cloned().collect()
    };
    assert_eq!(names(&index), names(&published));
    assert_eq!(index["metadata"]["total_size"], published["metadata"]["total_size"]);
}

#[test]
fn a_saved_config_reads_as_the_same() {
    for checkpoint in CHECKPOINTS {
        let config = load(checkpoint).processor().config().clone();
        let text = config.to_json();
        assert_eq!(ModelConfig::from_json(&text).expect("our own config"), config, "{checkpoint}:\n{text}");
    }
    for name in PRESETS {
        let config = preset(name).expect("a preset").model;
        let text = config.to_json();
        assert_eq!(ModelConfig::from_json(&text).expect("our own config"), config, "{name}:\n{text}");
    }
}

/// Other programs look for these keys, whatever layout the checkpoint came in.
#[test]
fn a_saved_config_has_the_published_keys() {
    for (checkpoint, published) in [
        ("qwen2_5_vl-untied", "qwen2_5_vl-untied"),
        ("qwen2_5_vl-tied-bf16", "qwen2_5_vl-untied"),
        ("qwen2_vl", "qwen2_vl"),
    ] {
        let saved = load(checkpoint).processor().config().to_json();
        let saved: Value = serde_json::from_str(&saved).expect("JSON");
        let published: Value = read_json(&format!("checkpoints/{published}/config.json"));
        for part in ["", "/vision_config", "/rope_scaling"] {
            let saved = saved.pointer(part).and_then(Value::as_object).expect("an object");
            for (key, value) in published.pointer(part).and_then(Value::as_object).expect("an object") {
                // No program reads these.
                if ["vision_token_id", "transformers_version"].contains(&key.as_str()) {
                    continue;
                }
                let found =
                    saved.get(key).unwrap_or_else(|| panic!("{checkpoint}: {part}/{key} is not saved"));
                let same_kind = std::mem::discriminant(found) == std::mem::discriminant(value);
                assert!(
                    same_kind || found.is_null(),
                    "{checkpoint}: {part}/{key} is {found}, published as {value}"
                );
            }
        }
    }
}

#[test]
fn headers_alone_tell_whether_a_checkpoint_fits() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        let empty = VisionLanguageModel::new(recognizer.processor().config(), &Device::flex());
        let mut tensors = Vec::new();
        for shard in plan_shards(recognizer.model(), Precision::F32, usize::MAX) {
            let bytes = pollster::block_on(encode_shard(recognizer.model(), &shard, Precision::F32))
                .expect("weights");
            tensors.extend(read_header(&shard.file, &bytes).expect("a header"));
        }
        let check = check_names(&empty, &tensors);
        assert_eq!(
            (check.missing.len(), check.odd.len(), check.misshaped.len()),
            (0, 0, 0),
            "{checkpoint}: {check:?}"
        );

        let lost = tensors.remove(3);
        tensors[5].shape.push(1);
        tensors[6].name = "stranger".into();
        let check = check_names(&empty, &tensors);
        assert!(check.missing.contains(&lost.name), "{checkpoint}: {check:?}");
        assert_eq!((check.missing.len(), check.misshaped.len()), (2, 1), "{checkpoint}: {check:?}");
        assert_eq!(check.odd, ["stranger"], "{checkpoint}");
    }
}
