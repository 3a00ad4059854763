//! Conversations, tokenizer files, and ids.

use crate::allocation::watch;
use crate::edits::{edits, graft, grafts, spoil};
use crate::fuzz;
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
    let bytes = fs::read(golden("checkpoints").join(CHECKPOINT).join("tokenizer.json")).expect("a tokenizer");
    let tree: Value = serde_json::from_slice(&bytes).expect("JSON");
    fuzz(
        "spoilt tokenizers",
        1000,
        (grafts(), proptest::option::weighted(0.3, edits())),
        |(grafts, edits)| {
            let mut bytes = graft(&tree, &grafts).to_string().into_bytes();
            if let Some(edits) = edits {
                bytes = spoil(&bytes, &edits, usize::MAX);
            }
            if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
                // Neither may panic, whatever comes out.
                let ids = tokenizer.encode("Which aircraft is this? <|im_end|>").unwrap_or_default();
                drop(tokenizer.decode(&ids, true));
            }
            Ok(())
        },
    );
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
