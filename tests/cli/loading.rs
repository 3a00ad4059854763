//! What loading takes: at most the model and one shard beside it.
#![cfg(target_os = "linux")]

use crate::program::peak_bytes;
use crate::scratch::{Scratch, golden_checkpoint};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize_to_file};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const HIDDEN: usize = 256;
/// So large that the allocator rounds nothing up: 19 MiB a matrix.
const FEED_FORWARD: usize = 20_000;
const LAYERS: usize = 2;
const VOCABULARY: usize = 448;
/// Of one number.
const BYTES: usize = 4;

/// The golden checkpoint with a much larger language model of zeros, every large matrix in a shard of its own.
/// Returns the bytes of the whole and of the largest shard.
fn enlarged() -> (Scratch, u64, u64) {
    let scratch = Scratch::checkpoint("qwen2_5_vl-untied");
    let mut config: Value = serde_json::from_slice(&scratch.read("config.json")).expect("JSON");
    config["hidden_size"] = json!(HIDDEN);
    config["intermediate_size"] = json!(FEED_FORWARD);
    config["num_hidden_layers"] = json!(LAYERS);
    config["rope_scaling"]["mrope_section"] = json!([16, 8, 8]);
    config["vision_config"]["out_hidden_size"] = json!(HIDDEN);
    scratch.write("config.json", config.to_string());

    let old = [1, 2].map(|number| format!("model-0000{number}-of-00002.safetensors"));
    let files = old.each_ref().map(|name| scratch.read(name));
    old.iter().for_each(|name| scratch.remove(name));
    let parsed = files.each_ref().map(|file| SafeTensors::deserialize(file).expect("a golden file"));
    let tower = parsed.iter().flat_map(|file| file.tensors()).filter(|(name, _)| name.starts_with("visual."));
    let mut first: BTreeMap<String, (Vec<usize>, Vec<u8>)> =
        tower.map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec()))).collect();
    let zeros = |shape: &[usize]| (shape.to_vec(), vec![0; BYTES * shape.iter().product::<usize>()]);
    let inner = first["visual.merger.mlp.2.weight"].0[1];
    first.insert("visual.merger.mlp.2.weight".into(), zeros(&[HIDDEN, inner]));
    first.insert("visual.merger.mlp.2.bias".into(), zeros(&[HIDDEN]));
    first.insert("model.embed_tokens.weight".into(), zeros(&[VOCABULARY, HIDDEN]));
    first.insert("lm_head.weight".into(), zeros(&[VOCABULARY, HIDDEN]));
    first.insert("model.norm.weight".into(), zeros(&[HIDDEN]));
    let mut shards = Vec::new();
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}");
        for (part, shape) in [
            ("input_layernorm.weight", vec![HIDDEN]),
            ("post_attention_layernorm.weight", vec![HIDDEN]),
            ("self_attn.q_proj.weight", vec![HIDDEN, HIDDEN]),
            ("self_attn.q_proj.bias", vec![HIDDEN]),
            ("self_attn.k_proj.weight", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.k_proj.bias", vec![HIDDEN / 2]),
            ("self_attn.v_proj.weight", vec![HIDDEN / 2, HIDDEN]),
            ("self_attn.v_proj.bias", vec![HIDDEN / 2]),
            ("self_attn.o_proj.weight", vec![HIDDEN, HIDDEN]),
        ] {
            first.insert(name(part), zeros(&shape));
        }
        for (part, shape) in [
            ("mlp.gate_proj.weight", [FEED_FORWARD, HIDDEN]),
            ("mlp.up_proj.weight", [FEED_FORWARD, HIDDEN]),
            ("mlp.down_proj.weight", [HIDDEN, FEED_FORWARD]),
        ] {
            shards.push(BTreeMap::from([(name(part), zeros(&shape))]));
        }
    }
    shards.push(first);

    let (mut index, mut sizes) = (Map::new(), Vec::new());
    for (shard, number) in shards.iter().zip(1..) {
        let file = format!("model-{number:05}-of-{:05}.safetensors", shards.len());
        index.extend(shard.keys().map(|name| (name.clone(), json!(file))));
        sizes.push(shard.values().map(|(_, data)| data.len() as u64).sum());
        let views = shard.iter().map(|(name, (shape, data))| {
            (name.clone(), TensorView::new(Dtype::F32, shape.clone(), data).expect("a tensor"))
        });
        serialize_to_file(views, None, &scratch.at(&file)).expect("room");
    }
    scratch.write("model.safetensors.index.json", json!({ "metadata": {}, "weight_map": index }).to_string());
    (scratch, sizes.iter().sum(), sizes.into_iter().max().expect("a shard"))
}

#[test]
fn loading_takes_the_model_and_one_shard() {
    let (checkpoint, model, shard) = enlarged();
    let messages =
        checkpoint.write("messages.json", json!([{ "role": "user", "content": "Hello" }]).to_string());
    let peak = |folder: &str| {
        peak_bytes(["recognize", "--messages", &messages, "--model", folder, "--max-new-tokens", "1"], 0)
    };
    let more = peak(&checkpoint.dir()) - peak(&golden_checkpoint("qwen2_5_vl-untied"));
    // The mapped shard may be let go a page late, and the answer itself takes a little.
    let most = (model + shard) * 105 / 100;
    assert!(more < most, "{} MiB, the model has {} and a shard {}", more >> 20, model >> 20, shard >> 20);
    assert!(more > model * 9 / 10, "{} MiB: the model was not loaded", more >> 20);
}
