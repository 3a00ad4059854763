//! Conversations, tokenizer files, and ids.

use crate::allocation::watch;
use crate::edits::{edits, graft, grafts, spoil};
use crate::fuzz;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fine_r1_core::prompt::{Detokenizer, Tokenizer, image_count, images, parse_messages};
use fine_r1_core::recognizer::Processor;
use fine_r1_core::weights::ShardIndex;
use fine_r1_tests::{PromptsFile, checkpoint_files, golden, read_json};
use proptest::collection::vec;
use proptest::{prop_assert, prop_assert_eq, sample};
use serde_json::Value;
use std::fs;

const CHECKPOINT: &str = "qwen2_5_vl-untied";

fn processor() -> Processor {
    Processor::new(&checkpoint_files(&golden("checkpoints").join(CHECKPOINT))).expect("a usable checkpoint")
}

#[test]
fn spoilt_messages_are_read_or_refused() {
    let file: PromptsFile = read_json("cases/prompts.json");
    let conversations: Vec<Value> =
        file.conversations.into_iter().map(|conversation| conversation.messages).collect();
    let processor = processor();
    let inputs = (sample::select(conversations), grafts(), proptest::option::weighted(0.3, edits()));
    fuzz("spoilt messages", 10_000, inputs, |(messages, grafts, edits)| {
        let mut text = graft(&messages, &grafts).to_string();
        if let Some(edits) = edits {
            text = String::from_utf8_lossy(&spoil(text.as_bytes(), &edits, usize::MAX)).into_owned();
        }
        let (parsed, largest) = watch(|| parse_messages(&text));
        // A tree of values takes some dozen times the room of its text.
        prop_assert!(
            largest <= 64 * text.len() + (64 << 10),
            "{largest} bytes at once for {} of text",
            text.len()
        );
        match parsed {
            Ok(messages) => {
                prop_assert!(images(&messages).count() <= image_count(&messages));
                // The template may refuse; it may not panic.
                if let Ok(rendered) = processor.render(&messages, true) {
                    prop_assert!(
                        processor.encode(&rendered, &[]).is_ok() || rendered.contains("<|image_pad|>")
                    );
                }
            }
            Err(error) => prop_assert!(!error.hint().is_empty() && !error.to_string().is_empty()),
        }
        Ok(())
    });
}

#[test]
fn messages_nested_without_end_are_refused() {
    for text in ["[".repeat(200_000), r#"{"messages":"#.repeat(50_000), format!("[{}]", "0,".repeat(10))] {
        assert!(parse_messages(&text).is_err());
    }
}

#[test]
fn spoilt_tokenizers_are_read_or_refused() {
    let pairs = golden("checkpoints").join(CHECKPOINT);
    for (kind, folder) in [("pairs", pairs), ("unigrams", golden("contrastive/siglip"))] {
        let bytes = fs::read(folder.join("tokenizer.json")).expect("a tokenizer");
        let tree: Value = serde_json::from_slice(&bytes).expect("JSON");
        let spoilt = (grafts(), proptest::option::weighted(0.3, edits()));
        fuzz(&format!("spoilt tokenizers of {kind}"), 1000, spoilt, |(grafts, edits)| {
            let mut bytes = graft(&tree, &grafts).to_string().into_bytes();
            if let Some(edits) = edits {
                bytes = spoil(&bytes, &edits, usize::MAX);
            }
            try_tokenizer(&bytes);
            Ok(())
        });
    }
}

/// Neither reading nor use may panic, whatever comes out.
fn try_tokenizer(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::from_bytes(bytes) {
        let text = "Which aircraft\u{a0}is \u{fb01}\u{200b}ne \u{2014} this? <|im_end|>";
        let ids = tokenizer.encode(text).unwrap_or_default();
        drop(tokenizer.decode(&ids, true));
    }
}

/// The table of normalisations inside is binary: bytes change in it, not letters of its encoding.
#[test]
fn spoilt_charsmaps_are_read_or_refused() {
    let bytes = fs::read(golden("contrastive/siglip/tokenizer.json")).expect("a tokenizer");
    let tree: Value = serde_json::from_slice(&bytes).expect("JSON");
    let place = "/normalizer/normalizers/4/precompiled_charsmap";
    let table = tree.pointer(place).and_then(Value::as_str).expect("a charsmap");
    let table = STANDARD.decode(table).expect("base64");
    fuzz("spoilt charsmaps", 4000, edits(), |edits| {
        let mut tree = tree.clone();
        let spoilt = STANDARD.encode(spoil(&table, &edits, usize::MAX));
        *tree.pointer_mut(place).expect("a charsmap") = spoilt.into();
        try_tokenizer(tree.to_string().as_bytes());
        Ok(())
    });
}

#[test]
fn any_text_goes_through_unigrams() {
    let bytes = fs::read(golden("contrastive/siglip/tokenizer.json")).expect("a tokenizer");
    let tokenizer = Tokenizer::from_bytes(&bytes).expect("a usable tokenizer");
    fuzz("texts as unigrams", 10_000, "[a-z \u{a0}\u{200b}\u{fb01}\u{ff21}\u{2014}\\PC\n]{0,40}", |text| {
        let ids = tokenizer.encode(&text).expect("ids");
        prop_assert!(ids.iter().all(|id| (*id as usize) < tokenizer.vocab_size()), "{ids:?}");
        Ok(())
    });
}

#[test]
fn a_stream_of_any_ids_is_the_text_of_the_ids() {
    let tokenizer = processor().tokenizer().clone();
    fuzz("streams of ids", 20_000, vec(0_u32..460, 0..40), |ids| {
        let mut detokenizer = Detokenizer::new(tokenizer.clone());
        let mut text = String::new();
        for id in &ids {
            text += &detokenizer.push(*id).expect("text");
        }
        text += &detokenizer.finish();
        prop_assert_eq!(text, tokenizer.decode(&ids, true).expect("text"));
        Ok(())
    });
}

#[test]
fn any_text_survives_the_tokenizer() {
    let tokenizer = processor().tokenizer().clone();
    // Letters that normalisation leaves alone.
    fuzz("texts", 10_000, "[ -~\n\t\u{4e00}-\u{4e20}\u{1f600}-\u{1f610}]{0,60}", |text| {
        let ids = tokenizer.encode(&text).expect("ids");
        prop_assert_eq!(tokenizer.decode(&ids, false).expect("text"), text);
        Ok(())
    });
}

#[test]
fn spoilt_indexes_name_plain_files_or_are_refused() {
    let tree: Value = read_json("checkpoints/qwen2_5_vl-untied/model.safetensors.index.json");
    fuzz("spoilt indexes", 4000, (grafts(), proptest::option::weighted(0.3, edits())), |(grafts, edits)| {
        let mut text = graft(&tree, &grafts).to_string();
        if let Some(edits) = edits {
            text = String::from_utf8_lossy(&spoil(text.as_bytes(), &edits, usize::MAX)).into_owned();
        }
        if let Ok(index) = ShardIndex::from_json(&text) {
            let files = index.files();
            prop_assert!(files.iter().all(|file| !file.contains(['/', '\\']) && file != ".."), "{files:?}");
        }
        Ok(())
    });
}
