//! CLIP and SigLIP: ids, pixels, both towers and their logits, on the golden pair of checkpoints.

use burn::tensor::Device;
use fine_r1_core::contrastive::{ContrastiveFiles, ContrastiveModel, ContrastiveProcessor, Embedder};
use fine_r1_core::weights::{Loader, Precision, ShardIndex};
use fine_r1_tests::{Largest, TensorFile, golden, open_image, read_json};
use serde_json::Value;
use std::fs;

/// Sums of some dozens of products, in another order than torch's; the issue asks for 1e-4.
const UNIT_VECTORS: f32 = 2e-6;
/// Cosines times the scale, which is about ten.
const LOGITS: f32 = 2e-5;
/// One step of the last place of values below three.
const PIXELS: f32 = 1e-6;

struct Golden {
    embedder: Embedder,
    cases: Value,
    tensors: TensorFile,
}

fn read(family: &str) -> Golden {
    let folder = golden("contrastive").join(family);
    let text = |name: &str| fs::read_to_string(folder.join(name)).expect("a golden file");
    let files = ContrastiveFiles {
        config: text("config.json"),
        preprocessor: text("preprocessor_config.json"),
        tokenizer: text("tokenizer.json").into_bytes(),
        tokenizer_config: Some(text("tokenizer_config.json")),
    };
    let processor = ContrastiveProcessor::new(&files).expect("a usable checkpoint");
    let model = ContrastiveModel::new(processor.config(), &Device::flex());
    let mut loader = Loader::new(model, Some(Precision::F32));
    let weights = fs::read(folder.join(ShardIndex::SINGLE)).expect("weights");
    loader.add(ShardIndex::SINGLE, &weights).expect("a sound weight file");
    let (model, report) = loader.finish().expect("all weights");
    assert!(report.odd.is_empty(), "{family}: odd tensors {:?}", report.odd);
    Golden {
        embedder: Embedder::new(processor, model),
        cases: read_json("contrastive/cases.json"),
        tensors: TensorFile::read("contrastive/cases.safetensors"),
    }
}

fn texts(cases: &Value, field: &str) -> Vec<String> {
    let list = cases[field].as_array().expect("a list");
    list.iter().map(|text| text.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn ids_are_those_of_transformers() {
    for family in ["siglip", "clip"] {
        let golden = read(family);
        let expected: Vec<Vec<u32>> =
            serde_json::from_value(golden.cases[format!("{family}_ids")].clone()).expect("ids");
        for (text, expected) in texts(&golden.cases, "texts").iter().zip(expected) {
            let found = golden.embedder.processor().tokens(text).expect("ids");
            assert_eq!(found, expected, "{family}: {text:?}");
        }
    }
}

#[test]
fn pixels_are_those_of_transformers() {
    let mut largest = Largest::new("pixels", PIXELS);
    for family in ["siglip", "clip"] {
        let golden = read(family);
        let expected = golden.tensors.floats(&format!("{family}.pixel_values"));
        let config = golden.embedder.processor().config();
        let (size, patch, side) = (config.image_size, config.patch_size, config.side());
        assert_eq!(expected.shape[1..], [3, size, size], "{family}");
        for (index, file) in texts(&golden.cases, "images").iter().enumerate() {
            let photo = &expected.values[index * 3 * size * size..][..3 * size * size];
            let mut patches = Vec::new();
            for at in 0..side * side {
                for channel in 0..3 {
                    for row in 0..patch {
                        let start =
                            channel * size * size + (at / side * patch + row) * size + at % side * patch;
                        patches.extend_from_slice(&photo[start..start + patch]);
                    }
                }
            }
            let found = golden.embedder.processor().pixels(&open_image(file)).expect("a usable photo");
            largest.compare(&format!("{family} {file}"), &found.values, &patches);
        }
    }
    largest.check();
}

#[test]
fn vectors_and_logits_are_those_of_transformers() {
    let mut vectors = Largest::new("unit vectors", UNIT_VECTORS);
    let mut scores = Largest::new("logits", LOGITS);
    for family in ["siglip", "clip"] {
        let golden = read(family);
        let embedder = &golden.embedder;
        let (sentences, files) = (texts(&golden.cases, "texts"), texts(&golden.cases, "images"));
        let sentences: Vec<&str> = sentences.iter().map(String::as_str).collect();
        let read = pollster::block_on(embedder.embed_texts(&sentences)).expect("vectors");
        let expected = golden.tensors.floats(&format!("{family}.text_embeds"));
        vectors.compare(&format!("{family} texts"), &read.concat(), &expected.values);
        // A text alone is what it is among others.
        let alone = pollster::block_on(embedder.embed_texts(&sentences[2..3])).expect("vectors");
        vectors.compare(&format!("{family} one text"), &alone[0], &read[2]);

        let photos: Vec<_> = files
            .iter()
            .map(|file| embedder.processor().pixels(&open_image(file)).expect("a usable photo"))
            .collect();
        let seen = pollster::block_on(embedder.embed_photos(&photos)).expect("vectors");
        let expected = golden.tensors.floats(&format!("{family}.image_embeds"));
        let width = embedder.processor().config().width;
        let logits = pollster::block_on(embedder.logits(&seen, &read)).expect("logits");
        let expected_logits = golden.tensors.floats(&format!("{family}.logits_per_image"));
        for (index, file) in files.iter().enumerate() {
            let row = &expected.values[index * width..][..width];
            vectors.compare(&format!("{family} {file}"), &seen[index], row);
            let row = &expected_logits.values[index * read.len()..][..read.len()];
            scores.compare(&format!("{family} {file}"), &logits[index], row);
        }
    }
    vectors.check();
    scores.check();
}

/// The tests above prove little unless the golden vectors differ from each other.
#[test]
fn golden_vectors_are_told_apart() {
    for family in ["siglip", "clip"] {
        let tensors = TensorFile::read("contrastive/cases.safetensors");
        for kind in ["text_embeds", "image_embeds"] {
            let vectors = tensors.floats(&format!("{family}.{kind}"));
            let width = vectors.shape[1];
            let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(l, r)| l * r).sum::<f32>();
            let rows: Vec<&[f32]> = vectors.values.chunks_exact(width).collect();
            let nearest = rows[1..].iter().map(|row| dot(rows[0], row)).fold(f32::MIN, f32::max);
            assert!(nearest < 0.999, "{family} {kind}: {nearest}");
        }
    }
}
