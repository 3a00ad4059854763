//! Messages to text, text to ids, ids to text.

use fine_r1_core::image::Grid;
use fine_r1_core::prompt::{ChatTemplate, Detokenizer, RenderOptions, Tokenizer, messages_from_value};
use fine_r1_core::recognizer::Processor;
use fine_r1_tests::{
    CASES, CHECKPOINTS, ModelCase, PromptsFile, checkpoint_files, golden, load, photos, prepare, read_json,
};
use serde_json::Value;

/// The checkpoint that `prompts.json` was made with.
const CHECKPOINT: &str = "qwen2_5_vl-untied";

fn processor(checkpoint: &str) -> Processor {
    Processor::new(&checkpoint_files(&golden("checkpoints").join(checkpoint))).expect("a usable checkpoint")
}

fn as_arrays(grids: impl IntoIterator<Item = Grid>) -> Vec<[usize; 3]> {
    grids.into_iter().map(|grid| [grid.t, grid.h, grid.w]).collect()
}

#[test]
fn conversations_render_and_tokenize_as_in_transformers() {
    let file: PromptsFile = read_json("cases/prompts.json");
    let source: Value = read_json(&format!("checkpoints/{CHECKPOINT}/chat_template.json"));
    let source = source["chat_template"].as_str().expect("a template").to_owned();
    let template = ChatTemplate::new(source).expect("the template parses");
    let processor = processor(CHECKPOINT);
    for expected in &file.conversations {
        let name = &expected.name;
        let messages = messages_from_value(&expected.messages).expect("well-formed messages");
        let options = RenderOptions {
            add_generation_prompt: expected.add_generation_prompt,
            add_vision_id: expected.add_vision_id,
        };
        let text = template.render(&messages, &options).expect("the template takes the messages");
        assert_eq!(text, expected.text, "{name}");
        if !expected.add_vision_id {
            let text =
                processor.render(&messages, expected.add_generation_prompt).expect("the same template");
            assert_eq!(text, expected.text, "{name}: through the processor");
        }
        assert_eq!(processor.tokenizer().encode(&text).expect("ids"), expected.token_ids, "{name}");
        let grids: Vec<Grid> = photos(&expected.messages)
            .iter()
            .map(|photo| processor.look_ready(photo).expect("a usable picture").grid)
            .collect();
        assert_eq!(as_arrays(grids.iter().copied()), expected.image_grid_thw, "{name}");
        assert_eq!(
            processor.encode(&text, &grids).expect("ids"),
            expected.expanded_token_ids,
            "{name}: expanded"
        );
    }
}

#[test]
fn texts_go_through_the_tokenizer_and_back_as_in_transformers() {
    let file: PromptsFile = read_json("cases/prompts.json");
    let tokenizer = processor(CHECKPOINT).tokenizer().clone();
    for row in &file.texts {
        assert_eq!(tokenizer.encode(&row.text).expect("ids"), row.token_ids, "{:?}", row.text);
        assert_eq!(tokenizer.decode(&row.token_ids, false).expect("text"), row.decoded, "{:?}", row.text);
        let without_special = tokenizer.decode(&row.token_ids, true).expect("text");
        assert_eq!(without_special, row.decoded_without_special, "{:?}", row.text);
        assert_eq!(
            streamed(&tokenizer, &row.token_ids),
            row.decoded_without_special,
            "{:?}: streamed",
            row.text
        );
    }
}

#[test]
fn answers_stream_to_the_text_that_transformers_decodes() {
    for checkpoint in CHECKPOINTS {
        let tokenizer = processor(checkpoint).tokenizer().clone();
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            assert_eq!(
                streamed(&tokenizer, &expected.greedy_ids),
                expected.greedy_text,
                "{checkpoint} {case}"
            );
            let whole = tokenizer.decode(&expected.greedy_ids, true).expect("text");
            assert_eq!(whole, expected.greedy_text, "{checkpoint} {case}");
        }
    }
}

#[test]
fn every_checkpoints_own_template_makes_the_prompt_of_transformers() {
    for checkpoint in CHECKPOINTS {
        let recognizer = load(checkpoint);
        for case in CASES {
            let (expected, _) = ModelCase::read(checkpoint, case);
            let prepared = prepare(&recognizer, &expected.messages);
            assert_eq!(prepared.text, expected.prompt, "{checkpoint} {case}");
            assert_eq!(prepared.prompt.ids, expected.input_ids, "{checkpoint} {case}");
            let grids = as_arrays(prepared.prompt.images.iter().map(|image| image.grid));
            assert_eq!(grids, expected.image_grid_thw, "{checkpoint} {case}");
        }
    }
}

fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut detokenizer = Detokenizer::new(tokenizer.clone());
    let mut text: String = ids.iter().map(|id| detokenizer.push(*id).expect("text")).collect();
    text.push_str(&detokenizer.finish());
    text
}
