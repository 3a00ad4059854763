//! Sentences to vectors, as transformers makes them from the same checkpoint.

use burn::tensor::Device;
use fine_r1_core::embed::{EmbedError, EmbedderFiles, SentenceEmbedder};
use fine_r1_tests::{Largest, TensorFile, golden, read_json};
use serde::Deserialize;
use std::fs;

/// Both sum some hundred f32 products in another order; the issue asks for 1e-4.
const LARGEST_DIFFERENCE: f32 = 1e-4;

#[derive(Deserialize)]
struct Cases {
    texts: Vec<String>,
    token_ids: Vec<Vec<i32>>,
}

fn files() -> EmbedderFiles {
    let read = |name: &str| {
        let path = golden("sentence").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    EmbedderFiles {
        config: read("config.json"),
        tokenizer: read("tokenizer.json").into_bytes(),
        pooling: Some(read("1_Pooling/config.json")),
        limits: Some(read("sentence_bert_config.json")),
    }
}

fn weights() -> Vec<u8> {
    fs::read(golden("sentence").join("model.safetensors")).expect("weights")
}

fn load(files: &EmbedderFiles) -> Result<SentenceEmbedder, EmbedError> {
    SentenceEmbedder::new(files, &weights(), &Device::flex())
}

#[test]
fn vectors_are_those_of_transformers() {
    let cases: Cases = read_json("sentence/cases.json");
    let expected = TensorFile::read("sentence/cases.safetensors");
    let first = r#"{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}"#;
    for (name, pooling) in [("mean", files().pooling), ("first", Some(first.to_owned()))] {
        let embedder = load(&EmbedderFiles { pooling, ..files() }).expect("a usable checkpoint");
        let found = pollster::block_on(embedder.embed(&cases.texts)).expect("vectors");
        let mut largest = Largest::new("sentence vectors", LARGEST_DIFFERENCE);
        largest.compare(name, &found.concat(), &expected.floats(name).values);
        // Padding and company change nothing.
        let alone: Vec<Vec<f32>> = cases
            .texts
            .iter()
            .flat_map(|text| {
                pollster::block_on(embedder.embed(std::slice::from_ref(text))).expect("a vector")
            })
            .collect();
        largest.compare("one by one", &alone.concat(), &expected.floats(name).values);
        largest.check();
    }
}

#[test]
fn ids_are_those_of_transformers_and_long_texts_are_cut() {
    let cases: Cases = read_json("sentence/cases.json");
    let embedder = load(&files()).expect("a usable checkpoint");
    let batch = embedder.tokenizer().encode(&cases.texts).expect("ids");
    for (row, expected) in cases.token_ids.iter().enumerate() {
        let places = row * batch.seq..(row + 1) * batch.seq;
        let found: Vec<i32> = batch.ids[places.clone()]
            .iter()
            .zip(&batch.is_token[places])
            .filter(|(_, is_token)| **is_token)
            .map(|(id, _)| *id)
            .collect();
        assert_eq!(found, *expected, "{}", cases.texts[row]);
    }
}

#[test]
fn no_texts_have_no_vectors() {
    let embedder = load(&files()).expect("a usable checkpoint");
    assert!(pollster::block_on(embedder.embed(&[])).expect("nothing fails").is_empty());
}

#[test]
fn what_is_no_embedder_of_this_family_is_refused() {
    let edited = |from: &str, to: &str| EmbedderFiles { config: files().config.replace(from, to), ..files() };
    let tokenizer = |from: &str, to: &str| {
        let text = String::from_utf8(files().tokenizer).expect("UTF-8");
        assert!(text.contains(from), "{from}");
        EmbedderFiles { tokenizer: text.replace(from, to).into_bytes(), ..files() }
    };
    for (files, named) in [
        (EmbedderFiles { config: "{".into(), ..files() }, "config.json"),
        (edited("\"bert\"", "\"roberta\""), "roberta"),
        (edited("\"gelu\"", "\"relu\""), "relu"),
        (edited("\"num_attention_heads\": 3", "\"num_attention_heads\": 5"), "num_attention_heads"),
        (edited("\"vocab_size\": 163", "\"vocab_size\": 20"), "vocabulary ends at 20"),
        (edited("\"intermediate_size\": 40", "\"intermediate_size\": 41"), "shape"),
        (edited("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3"), "encoder.layer.2"),
        (tokenizer("WordPiece", "BPE"), "BPE"),
        (
            EmbedderFiles { pooling: Some(r#"{"pooling_mode_max_tokens": true}"#.into()), ..files() },
            "pooling",
        ),
    ] {
        let error = load(&files).expect_err(named);
        assert!(error.to_string().contains(named), "{error}");
        assert!(!error.hint().is_empty());
    }
    let cut = SentenceEmbedder::new(&files(), &weights()[..5000], &Device::flex()).expect_err("it is cut");
    assert!(cut.to_string().contains("model.safetensors"), "{cut}");
}
