//! What tokenizers 0.23 takes on trust in a `tokenizer.json`, and panics on where it is wrong.
//!
//! Byte-pair encoding (Qwen, CLIP) and unigrams (SigLIP) are read. A decoder that is no JSON (<https://docs.rs/crate/tokenizers/0.23.2/source/src/decoders/mod.rs#90>),
//! the tables of SentencePiece (<https://docs.rs/crate/tokenizers/0.23.2/source/src/normalizers/mod.rs#143>),
//! and merges that do not fit the vocabulary
//! (<https://docs.rs/crate/tokenizers/0.23.2/source/src/models/bpe/model.rs#265>).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::{PromptError, charsmap};

/// Bytes of a unigram that are believed; its trie is as deep, and is dropped by recursion.
const LONGEST_UNIGRAM: usize = 512;

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
    vocab: Vocabulary,
    #[serde(default)]
    merges: LongestMerge,
}

/// Refuses a file that tokenizers would panic on, and the kinds of tokenizers that no model here has.
pub fn check(bytes: &[u8]) -> Result<(), PromptError> {
    let refuse = |reason: String| Err(PromptError::TokenizerFile { reason });
    let Parts { decoder: IsJson, normalizer, model } = match serde_json::from_slice(bytes) {
        Ok(parts) => parts,
        Err(error) => return refuse(error.to_string()),
    };
    if let Err(reason) = check_charsmaps(&normalizer) {
        return refuse(format!("the normalizer `Precompiled`: {reason}"));
    }
    let reason = match model.kind.as_str() {
        "BPE" => model.check_pairs(),
        "Unigram" => model.check_unigrams(),
        other => Err(format!("the model is {other:?}, expected \"BPE\" or \"Unigram\"")),
    };
    reason.or_else(refuse)
}

impl Model {
    fn check_pairs(&self) -> Result<(), String> {
        if self.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
            return Err("a `continuing_subword_prefix` is not supported".to_owned());
        }
        if self.vocab.is_list {
            return Err("the vocabulary is a list, expected a vocabulary of tokens and ids".to_owned());
        }
        let (merge, token) = (self.merges.0, self.vocab.longest);
        if merge > token {
            return Err(format!("a merge makes {merge} bytes, the longest token has {token}"));
        }
        Ok(())
    }

    fn check_unigrams(&self) -> Result<(), String> {
        if !self.vocab.is_list {
            return Err("the vocabulary is no list of tokens and scores".to_owned());
        }
        if self.vocab.longest > LONGEST_UNIGRAM {
            return Err(format!(
                "a token has {} bytes, at most {LONGEST_UNIGRAM} are read",
                self.vocab.longest
            ));
        }
        Ok(())
    }
}

/// Checks the tables of SentencePiece in a normalizer and in the ones inside it.
fn check_charsmaps(part: &Value) -> Result<(), &'static str> {
    match part {
        Value::Object(fields) => {
            match fields.get("precompiled_charsmap") {
                Some(Value::String(table)) => charsmap::check(table)?,
                Some(_) => return Err("the charsmap is no text"),
                None if fields.get("type").is_some_and(|kind| kind == "Precompiled") => {
                    return Err("it has no charsmap");
                }
                None => {}
            }
            fields.values().try_for_each(check_charsmaps)
        }
        Value::Array(parts) => parts.iter().try_for_each(check_charsmaps),
        _ => Ok(()),
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

/// What is looked at in a vocabulary.
#[derive(Default)]
struct Vocabulary {
    /// Bytes of the longest token.
    longest: usize,
    /// Whether it is a list of tokens and scores, as unigrams have it, and no map from tokens to ids.
    is_list: bool,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tokens;
        impl<'de> Visitor<'de> for Tokens {
            type Value = Vocabulary;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a vocabulary")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut tokens: A) -> Result<Vocabulary, A::Error> {
                let mut longest = 0;
                while let Some((token, IgnoredAny)) = tokens.next_entry::<String, _>()? {
                    longest = longest.max(token.len());
                }
                Ok(Vocabulary { longest, is_list: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut tokens: A) -> Result<Vocabulary, A::Error> {
                let mut longest = 0;
                while let Some((token, IgnoredAny)) = tokens.next_element::<(String, _)>()? {
                    longest = longest.max(token.len());
                }
                Ok(Vocabulary { longest, is_list: true })
            }
        }
        deserializer.deserialize_any(Tokens)
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
            ("/normalizer", json!({ "precompiled_charsmap": "AAAA" }), "`Precompiled`"),
            ("/model/type", json!("Unigram"), "no list"),
            ("/model/type", json!("WordPiece"), "WordPiece"),
            ("/model", json!({ "type": "Unigram", "vocab": [["x".repeat(600), 0.0]] }), "600 bytes"),
            ("/model", json!({ "type": "Unigram", "vocab": [["x"]] }), "tuple"),
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
