//! Adapters that cannot be used, and recipes of adapters that make no sense.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::golden;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::json;
use std::fs;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const CHECKPOINT: &str = "qwen2_5_vl-untied";

fn adapter() -> Scratch {
    let scratch = Scratch::new();
    for file in [CONFIG, WEIGHTS] {
        fs::copy(golden("adapters/lora").join(file), scratch.at(file)).expect("a golden adapter");
    }
    scratch
}

/// The adapter's weights with another name for a tensor, or without it.
fn rename(folder: &Scratch, end: &str, new: Option<&str>) {
    let bytes = folder.read(WEIGHTS);
    let tensors = SafeTensors::deserialize(&bytes).expect("a sound file");
    let found =
        tensors.names().into_iter().find(|name| name.ends_with(end)).expect("such a tensor").to_owned();
    let views: Vec<(String, TensorView)> = tensors
        .iter()
        .filter_map(|(name, view)| match (name == found, new) {
            (false, _) => Some((name.to_owned(), view)),
            (true, Some(new)) => Some((new.to_owned(), view)),
            (true, None) => None,
        })
        .collect();
    let changed = safetensors::serialize(views, None).expect("a file");
    folder.write(WEIGHTS, changed);
}

fn merge(base: &str, adapter: &str, out: &str) -> Vec<String> {
    ["export", &golden_checkpoint(base), out, "--dtype", "f32", "--merge", adapter]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn adapters_that_cannot_be_used_are_refused_by_file_and_tensor() {
    let mut refusals = Refusals::default();
    let target = Scratch::new();
    let out = target.arg("out");
    let mut refuse = |why: &str, spoil: &dyn Fn(&Scratch), named: &[&str]| {
        let folder = adapter();
        spoil(&folder);
        let folder_name = folder.dir();
        let named: Vec<&str> = named.iter().copied().chain([folder_name.as_str()]).collect();
        refusals.expect(why, merge(CHECKPOINT, &folder_name, &out), &named);
        let photo = golden_image("tiny.png");
        let model = golden_checkpoint(CHECKPOINT);
        let recognise = ["recognize", &photo, "--model", &model, "--adapter", &folder_name];
        refusals.expect(why, recognise, &named);
    };
    refuse("no settings", &|folder| folder.remove(CONFIG), &[CONFIG]);
    refuse("no weights", &|folder| folder.remove(WEIGHTS), &[WEIGHTS]);
    refuse("settings cut short", &|folder| folder.cut(CONFIG, 30), &[CONFIG]);
    refuse("weights cut short", &|folder| folder.cut(WEIGHTS, 3000), &[WEIGHTS]);
    refuse(
        "another kind",
        &|folder| folder.edit(CONFIG, |config| config["peft_type"] = json!("IA3")),
        &[CONFIG, "IA3"],
    );
    refuse(
        "trained biases",
        &|folder| folder.edit(CONFIG, |config| config["bias"] = json!("all")),
        &[CONFIG, "bias"],
    );
    let lost = "layers.1.mlp.up_proj.lora_B.weight";
    refuse("a factor alone", &|folder| rename(folder, lost, None), &[WEIGHTS, lost]);
    let strange = "base_model.model.model.language_model.layers.7.mlp.up_proj.lora_B.weight";
    refuse("a layer too many", &|folder| rename(folder, lost, Some(strange)), &[WEIGHTS, "up_proj"]);
    refuse("a name that is none of PEFT's", &|folder| rename(folder, lost, Some("x")), &[WEIGHTS, "`x`"]);
    let head = "base_model.model.lm_head.weight";
    refuse("a head of another shape", &|folder| rename(folder, lost, Some(head)), &[WEIGHTS]);
    let empty = |folder: &Scratch| {
        let none: Vec<(String, TensorView)> = Vec::new();
        folder.write(WEIGHTS, safetensors::serialize(none, None).expect("a file"));
    };
    refuse("no tensors", &empty, &[WEIGHTS]);

    // The settings name the checkpoint that the adapter was trained on.
    let folder = adapter();
    for other in ["qwen2_5_vl-tied-bf16", "qwen2_vl"] {
        let named = [WEIGHTS, "has shape", CHECKPOINT];
        refusals.expect("another checkpoint", merge(other, &folder.dir(), &out), &named);
    }
    let missing = target.arg("nowhere");
    refusals.expect("no folder", merge(CHECKPOINT, &missing, &out), &[&missing]);
    refusals.check();
    assert!(!target.at("out").exists(), "nothing was written");
}

#[test]
fn recipes_of_adapters_that_make_no_sense_are_refused() {
    let folder = Scratch::new();
    fs::copy(golden_image("tiny.png"), folder.at("tiny.png")).expect("a picture");
    let rows = json!([{
        "conversations": [{ "from": "human", "value": "<image>?" }, { "from": "gpt", "value": "A dot" }],
        "images": ["tiny.png"],
    }]);
    folder.write("rows.json", rows.to_string());
    let info = json!({ "rows": { "file_name": "rows.json", "formatting": "sharegpt" } });
    folder.write("dataset_info.json", info.to_string());
    let recipe = folder.write(
        "recipe.toml",
        format!(
            "model_name_or_path = {:?}\ndataset_dir = {:?}\ndataset = \"rows\"\noutput_dir = {:?}\n\
             finetuning_type = \"lora\"\nmax_steps = 1\n",
            golden_checkpoint(CHECKPOINT),
            folder.dir(),
            folder.arg("run"),
        ),
    );
    let sft = |settings: &[&str]| {
        let mut arguments = vec!["sft", "--recipe", &recipe];
        for setting in settings {
            arguments.extend(["--set", setting]);
        }
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut refusals = Refusals::default();
    let [golden_adapter, with_head] = ["adapters/lora", "adapters/rslora"]
        .map(|adapter| format!("adapter_name_or_path={:?}", golden(adapter)));
    let of_its_kind = [with_head.as_str(), "lora_rank=4", "lora_alpha=6", "use_rslora=true"];
    for (why, settings, named) in [
        ("a rank of nothing", ["lora_rank=0"].as_slice(), "lora_rank"),
        ("an alpha of nothing", &["lora_alpha=0"], "lora_alpha"),
        ("all dropped", &["lora_dropout=1.0"], "lora_dropout"),
        ("a target that is none", &["lora_target=q_porj"], "q_porj"),
        ("targets that are frozen", &["lora_target=qkv"], "qkv"),
        ("a module that is none", &["additional_target=hed"], "hed"),
        ("a module twice", &["lora_target=q_proj,lm_head", "additional_target=lm_head"], "lm_head"),
        ("three bits", &["quantization_bit=3"], "quantization_bit"),
        ("bits of another kind", &["quantization_bit=4", "quantization_type=fp4"], "fp4"),
        (
            "packed weights that are trained",
            &["quantization_bit=4", "finetuning_type=full"],
            "finetuning_type",
        ),
        ("a kind that is none", &["finetuning_type=oft"], "oft"),
        ("an adapter that is none", &["adapter_name_or_path=nowhere"], "nowhere"),
        ("an adapter of another rank", &[golden_adapter.as_str(), "lora_rank=5"], "lora_rank"),
        ("an adapter whose head would not be trained on", &of_its_kind, "additional_target"),
    ] {
        refusals.expect(why, sft(settings), &[named]);
    }
    refusals.check();
    assert!(!folder.at("run/checkpoint-1").exists(), "nothing was trained");
    let run = trainer(sft(&[]));
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    for file in [CONFIG, WEIGHTS] {
        assert!(folder.at("run").join(file).is_file() && folder.at("run/checkpoint-1").join(file).is_file());
    }
    assert!(!folder.at("run/model.safetensors").exists(), "the frozen weights are not stored again");
    let merged = folder.arg("merged");
    let run = trainer(merge(CHECKPOINT, &folder.arg("run"), &merged));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}
