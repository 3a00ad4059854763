//! The special tokens that chat templates know by name, from `tokenizer_config.json`.
//!
//! Follows `special_tokens_map`:
//! <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/tokenization_utils_base.py>.

use super::ConfigError;
use super::fields::read_object;
use serde_json::Value;
use std::collections::BTreeMap;

const FILE: &str = "tokenizer_config.json";

/// Names of the special tokens.
const NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What Qwen's tokenizer takes for these three where the file does not speak of them:
/// <https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/qwen2/tokenization_qwen2_fast.py>.
const QWEN: (&str, [&str; 3]) = ("<|endoftext|>", ["unk_token", "eos_token", "pad_token"]);

/// The special tokens by name, each a string or an object with `content`.
///
/// # Errors
/// No JSON, or a token of another form.
pub fn special_tokens(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let fields = read_object(FILE, text)?;
    let class = fields.get("tokenizer_class").and_then(Value::as_str);
    let is_qwen = class.is_some_and(|class| class.starts_with("Qwen2Tokenizer"));
    let mut tokens = BTreeMap::new();
    for name in NAMES {
        let token = match fields.get(name) {
            None if is_qwen && QWEN.1.contains(&name) => Some(QWEN.0),
            None | Some(Value::Null) => None,
            Some(Value::String(token)) => Some(token.as_str()),
            Some(other) => match other.get("content") {
                Some(Value::String(token)) => Some(token.as_str()),
                _ => {
                    let expected = "a string or an object with `content`";
                    return Err(ConfigError::value(FILE, name, other, expected));
                }
            },
        };
        if let Some(token) = token {
            tokens.insert(name.to_owned(), token.to_owned());
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_string_or_an_object() {
        let text = r#"{"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "pad_token": null,
            "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": false}}"#;
        let tokens = special_tokens(text).expect("a usable file");
        let expected = [("bos_token", "<s>"), ("eos_token", "<|im_end|>"), ("unk_token", "<|endoftext|>")];
        assert_eq!(tokens, expected.map(|(name, token)| (name.to_owned(), token.to_owned())).into());
        assert_eq!(special_tokens("{}").expect("a usable file"), BTreeMap::new());
        for wrong in [r#"{"eos_token": 3}"#, r#"{"eos_token""#, "[]"] {
            let error = special_tokens(wrong).unwrap_err();
            assert!(error.to_string().starts_with("tokenizer_config.json"), "{error}");
        }
    }
}
