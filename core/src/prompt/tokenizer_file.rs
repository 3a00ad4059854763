//! What tokenizers 0.23 takes on trust in a `tokenizer.json`, and panics on where it is wrong.
//!
//! A decoder that is no JSON (<https://docs.rs/crate/tokenizers/0.23.2/source/src/decoders/mod.rs#90>),
//! the tables of SentencePiece (<https://docs.rs/crate/tokenizers/0.23.2/source/src/normalizers/mod.rs#143>),
//! and merges that do not fit the vocabulary
//! (<https://docs.rs/crate/tokenizers/0.23.2/source/src/models/bpe/model.rs#265>).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::PromptError;

/// The parts that are looked at; the others are read by tokenizers alone.
#[derive(serde::Deserialize)]
struct Parts {
    #[serde(default)]
    decoder: IsJson,
    #[serde(default)]
    normalizer: Value,
    model: Model,
}

#[derive(serde::Deserialize)]
struct Model {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    vocab: LongestToken,
    #[serde(default)]
    merges: LongestMerge,
}

/// Refuses a file that tokenizers would panic on, and the kinds of tokenizers that no Qwen model has.
pub fn check(bytes: &[u8]) -> Result<(), PromptError> {
    let refuse = |reason: String| Err(PromptError::TokenizerFile { reason });
    let Parts { decoder: IsJson, normalizer, model } = match serde_json::from_slice(bytes) {
        Ok(parts) => parts,
        Err(error) => return refuse(error.to_string()),
    };
    if has_type(&normalizer, "Precompiled") {
        return refuse("the normalizer `Precompiled` is not supported".to_owned());
    }
    if model.kind != "BPE" {
        return refuse(format!("the model is {:?}, expected \"BPE\"", model.kind));
    }
    if model.continuing_subword_prefix.is_some_and(|prefix| !prefix.is_empty()) {
        return refuse("a `continuing_subword_prefix` is not supported".to_owned());
    }
    let (merge, token) = (model.merges.0, model.vocab.0);
    if merge > token {
        return refuse(format!("a merge makes {merge} bytes, the longest token has {token}"));
    }
    Ok(())
}

/// Whether a part, or a part inside it, is of this type.
fn has_type(part: &Value, name: &str) -> bool {
    match part {
        Value::Object(fields) => {
            fields.get("type").is_some_and(|found| found == name)
                || fields.values().any(|field| has_type(field, name))
        }
        Value::Array(parts) => parts.iter().any(|part| has_type(part, name)),
        _ => false,
    }
}

/// Any JSON, down to its numbers and strings.
#[derive(Default)]
struct IsJson;

impl<'de> Deserialize<'de> for IsJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(|_| Self)
    }
}

/// Bytes of the vocabulary's longest token.
#[derive(Default)]
struct LongestToken(usize);

impl<'de> Deserialize<'de> for LongestToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = LongestToken;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut tokens: A) -> Result<LongestToken, A::Error> {
                let mut longest = 0;
                while let Some((token, IgnoredAny)) = tokens.next_entry::<String, _>()? {
                    longest = longest.max(token.len());
                }
                Ok(LongestToken(longest))
            }
        }
        deserializer.deserialize_map(Tokens)
    }
}

/// Bytes of the longest token that a merge makes.
#[derive(Default)]
struct LongestMerge(usize);

impl<'de> Deserialize<'de> for LongestMerge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Merges;
        impl<'de> Visitor<'de> for Merges {
            type Value = LongestMerge;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut merges: A) -> Result<LongestMerge, A::Error> {
                let mut longest = 0;
                while let Some(Merge(bytes)) = merges.next_element()? {
                    longest = longest.max(bytes);
                }
                Ok(LongestMerge(longest))
            }
        }
        deserializer.deserialize_seq(Merges)
    }
}

/// Bytes of the token that a merge makes: `"a b"`, or `["a", "b"]` in newer files.
struct Merge(usize);

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Merge;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a pair of tokens")
            }

            fn visit_str<E: Error>(self, pair: &str) -> Result<Merge, E> {
                Ok(Merge(pair.len().saturating_sub(1)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Merge, A::Error> {
                let mut bytes = 0;
                while let Some(token) = pair.next_element::<String>()? {
                    bytes += token.len();
                }
                Ok(Merge(bytes))
            }
        }
        deserializer.deserialize_any(Pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file() -> Value {
        json!({
            "decoder": { "type": "ByteLevel" },
            "normalizer": { "type": "NFC" },
            "model": { "type": "BPE", "vocab": { "a": 0, "b": 1, "ab": 2 }, "merges": [["a", "b"], "a b"] },
        })
    }

    #[test]
    fn what_tokenizers_would_panic_on_is_refused() {
        assert_eq!(check(file().to_string().as_bytes()), Ok(()));
        for (place, value, expected) in [
            ("/normalizer", json!({ "type": "Precompiled" }), "`Precompiled`"),
            (
                "/normalizer",
                json!({ "type": "Sequence", "normalizers": [{ "type": "Precompiled" }] }),
                "`Precompiled`",
            ),
            ("/model/type", json!("Unigram"), "Unigram"),
            ("/model/vocab", json!({ "a": 0, "b": 1 }), "a merge makes 2 bytes, the longest token has 1"),
            ("/model/vocab", json!([]), "expected a vocabulary"),
            ("/model/merges", json!(["abab b"]), "a merge makes 5 bytes"),
            ("/model/merges", json!([["aba", "b"]]), "a merge makes 4 bytes"),
            ("/model/merges", json!([7]), "expected a pair of tokens"),
            (
                "/model",
                json!({ "type": "BPE", "continuing_subword_prefix": "##" }),
                "continuing_subword_prefix",
            ),
        ] {
            let mut file = file();
            *file.pointer_mut(place).expect("a part") = value;
            let error = check(file.to_string().as_bytes()).unwrap_err();
            assert!(error.to_string().contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn no_beginning_of_a_file_passes_for_the_whole() {
        let whole = file().to_string();
        for length in 0..whole.len() {
            assert!(check(&whole.as_bytes()[..length]).is_err(), "{length} of {} bytes", whole.len());
        }
    }
}
