//! Adapters as PEFT computes them: beside the weights, merged into them, and taken away again.

use burn::tensor::{DType, Int, Tensor};
use fine_r1_core::model::vlm::PaddingSide;
use fine_r1_core::model::{Prompt, VisionLanguageModel};
use fine_r1_core::recognizer::Recognizer;
use fine_r1_core::weights::{ADAPTER_FILE, attach_adapter, encode_adapter};
use fine_r1_tests::{
    AdapterRecord, AdaptersFile, Largest, ModelCase, TensorFile, golden, load, prepare, read_json,
};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;

/// What was asked for: f32 sums in another order, over logits of up to some dozens.
const LOGITS: f32 = 1e-4;

fn scale(record: &AdapterRecord) -> impl Fn(usize) -> f64 + use<> {
    let config: Value = read_json(&format!("adapters/{}/adapter_config.json", record.name));
    let alpha = config["lora_alpha"].as_f64().expect("a number");
    let is_stabilised = config["use_rslora"].as_bool().expect("a switch");
    move |rank| alpha / if is_stabilised { (rank as f64).sqrt() } else { rank as f64 }
}

fn file(record: &AdapterRecord) -> Vec<u8> {
    fs::read(golden("adapters").join(&record.name).join(ADAPTER_FILE)).expect("an adapter")
}

fn adapted(record: &AdapterRecord, recognizer: &Recognizer) -> VisionLanguageModel {
    let model = recognizer.model().clone();
    attach_adapter(model, ADAPTER_FILE, &file(record), scale(record)).expect("an adapter of this model")
}

fn logits(model: &VisionLanguageModel, recognizer: &Recognizer, prompt: &Prompt, rows: &[usize]) -> Vec<f32> {
    let config = recognizer.processor().config();
    let states = model.read(model.embed(&[prompt], PaddingSide::Right, config), None, config);
    let [_, seq, hidden] = states.dims();
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    let rows = Tensor::<1, Int>::from_ints(rows.as_slice(), &model.device());
    let data = model.logits(states.reshape([seq, hidden]).select(0, rows)).into_data();
    data.convert_dtype(DType::F32).as_slice::<f32>().expect("numbers").to_vec()
}

#[test]
fn logits_with_an_adapter_are_those_of_peft() {
    let expected = TensorFile::read("cases/adapters.safetensors");
    let mut beside = Largest::new("logits with an adapter", LOGITS);
    let mut within = Largest::new("logits with a merged adapter", LOGITS);
    for record in AdaptersFile::read().adapters {
        let recognizer = load(&record.checkpoint);
        let (case, base) = ModelCase::read(&record.checkpoint, &record.case);
        let prompt = prepare(&recognizer, &case.messages).prompt;
        let ask = |model: &VisionLanguageModel| logits(model, &recognizer, &prompt, &case.logit_positions);
        let mut model = adapted(&record, &recognizer);
        let name = &record.name;
        beside.compare(name, &ask(&model), &expected.floats(&format!("{name}.logits")).values);
        let has_whole_modules = name == "rslora";
        if !has_whole_modules {
            let found = ask(&model.without_adapters());
            assert_eq!(found, ask(recognizer.model()), "{name}: nothing is left of the adapter");
        }
        let changed = base.floats("logits").values;
        let largest =
            ask(&model).iter().zip(&changed).map(|(new, old)| (new - old).abs()).fold(0.0, f32::max);
        assert!(largest > 1.0, "{name}: the adapter changes the answer");
        for (_, layer) in model.linears_mut() {
            *layer = layer.clone().merge();
            assert!(layer.adapter.is_none(), "{name}");
        }
        within.compare(name, &ask(&model), &expected.floats(&format!("{name}.merged_logits")).values);
    }
    beside.check();
    within.check();
}

#[test]
fn what_is_saved_is_what_peft_saved() {
    for record in &AdaptersFile::read().adapters {
        let bytes = file(record);
        let model = adapted(record, &load(&record.checkpoint));
        let saved = pollster::block_on(encode_adapter(&model, |name| {
            record.name == "rslora" && name.starts_with("lm_head")
        }))
        .expect("an adapter");
        let read = |bytes: &[u8]| {
            let tensors = SafeTensors::deserialize(bytes).expect("a sound file");
            let mut found: Vec<_> = tensors
                .iter()
                .map(|(name, view)| {
                    (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec())
                })
                .collect();
            found.sort_by(|left, right| left.0.cmp(&right.0));
            found
        };
        assert!(read(&saved) == read(&bytes), "{}", record.name);
    }
}
