//! An answer as a JSON file.

use crate::candidates::considered;
use crate::state::Record;
use fine_r1_web::protocol::{ModelInfo, Usage};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Exported<'record> {
    photo: ExportedPhoto<'record>,
    question: Option<&'record str>,
    candidates: &'record [String],
    considered: Vec<ExportedName>,
    thinking: &'record str,
    answer: &'record str,
    well_formed: bool,
    stop_reason: &'record str,
    token_ids: &'record [u32],
    usage: &'record Usage,
    model: &'record ModelInfo,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedPhoto<'record> {
    name: &'record str,
    bytes: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'record str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExportedName {
    name: String,
    is_answer: bool,
}

/// Question, answer, thought, figures and model as JSON. The photo stays out of it.
pub fn json(record: &Record) -> String {
    let Record { model, asked, outcome } = record;
    let exported = Exported {
        photo: ExportedPhoto {
            name: &asked.photo_name,
            bytes: asked.photo_bytes,
            label: asked.label.as_deref(),
        },
        question: Some(asked.question.as_str()).filter(|question| !question.is_empty()),
        candidates: &asked.candidates,
        considered: considered(&asked.candidates, &outcome.thinking, &outcome.answer)
            .into_iter()
            .map(|name| ExportedName { name: name.name, is_answer: name.is_answer })
            .collect(),
        thinking: &outcome.thinking,
        answer: &outcome.answer,
        well_formed: outcome.well_formed,
        stop_reason: &outcome.stop_reason,
        token_ids: &outcome.token_ids,
        usage: &outcome.usage,
        model,
    };
    let mut text = serde_json::to_string_pretty(&exported).expect("plain structs have a JSON form");
    text.push('\n');
    text
}

/// Name for the file: the photo's, as far as every file system takes it.
pub fn file_name(record: &Record) -> String {
    let stem = record.asked.photo_name.rsplit_once('.').map_or(&*record.asked.photo_name, |(stem, _)| stem);
    let plain: String = stem
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '-' })
        .take(60)
        .collect();
    match plain.trim_matches('-') {
        "" => "fine-r1.json".to_owned(),
        plain => format!("fine-r1-{plain}.json"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Asked;
    use fine_r1_web::protocol::Outcome;
    use serde_json::Value;

    fn record() -> Record {
        Record {
            model: ModelInfo { name: "nano".into(), ..ModelInfo::default() },
            asked: Asked {
                photo_name: "my plane (1).jpg".into(),
                photo_bytes: 1200.0,
                candidates: vec!["A319".into(), "A320".into()],
                ..Asked::default()
            },
            outcome: Outcome {
                thinking: "Two \"engines\".".into(),
                answer: "A320".into(),
                well_formed: true,
                token_ids: vec![5, 6, 7],
                stop_reason: "endToken".into(),
                usage: Usage { new_tokens: 3, tokens_per_second: f64::NAN, ..Usage::default() },
            },
        }
    }

    #[test]
    fn everything_about_an_answer_is_in_the_file() {
        let text = json(&record());
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["photo"]["name"], "my plane (1).jpg");
        assert_eq!(value["question"], Value::Null);
        assert_eq!(value["considered"][1]["isAnswer"], true);
        assert_eq!(value["thinking"], "Two \"engines\".");
        assert_eq!(value["tokenIds"][2], 7);
        assert_eq!(value["usage"]["newTokens"], 3);
        assert_eq!(value["usage"]["tokensPerSecond"], Value::Null);
        assert_eq!(value["model"]["name"], "nano");
        assert!(text.ends_with("}\n"));
    }

    #[test]
    fn the_file_is_called_after_the_photo() {
        assert_eq!(file_name(&record()), "fine-r1-my-plane--1.json");
        assert_eq!(file_name(&Record::default()), "fine-r1.json");
    }
}
