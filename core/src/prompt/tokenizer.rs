//! Text to token ids and back, from the `tokenizer.json` of the checkpoint.
//!
//! Runs the same code as the fast tokenizers of Hugging Face:
//! <https://docs.rs/crate/tokenizers/0.23.2/source/src/tokenizer/mod.rs>.

use std::{fmt, sync::Arc};

use tokenizers::{DecoderWrapper, Tokenizer as FastTokenizer};

use super::{PromptError, tokenizer_file};

/// The tokenizer of a checkpoint; a clone shares the vocabulary.
#[derive(Clone)]
pub struct Tokenizer {
    shared: Arc<Shared>,
}

struct Shared {
    fast: FastTokenizer,
    byte_level: bool,
    special_ids: Vec<u32>,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("byte_level", &self.shared.byte_level)
            .finish_non_exhaustive()
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// Truncation and padding that the file may ask for are dropped, as transformers drops them:
    /// a prompt is encoded whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PromptError> {
        let file_error = |error: tokenizers::Error| PromptError::TokenizerFile { reason: error.to_string() };
        tokenizer_file::check(bytes)?;
        let mut fast = FastTokenizer::from_bytes(bytes).map_err(file_error)?;
        fast.with_truncation(None).map_err(file_error)?;
        fast.with_padding(None);

        let mut special_ids: Vec<u32> = fast
            .get_added_tokens_decoder()
            .into_iter()
            .filter_map(|(id, token)| token.special.then_some(id))
            .collect();
        special_ids.sort_unstable();

        Ok(Self {
            shared: Arc::new(Shared {
                byte_level: fast.get_decoder().is_some_and(is_byte_level),
                fast,
                special_ids,
            }),
        })
    }

    /// The ids of a text; special tokens that the text spells become their one id, and none are
    /// added, because the chat template has written them all.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, PromptError> {
        self.shared
            .fast
            .encode_fast(text, false)
            .map(|encoding| encoding.get_ids().to_vec())
            .map_err(|error| PromptError::Encode { reason: error.to_string() })
    }

    /// The text of the ids, without special tokens if `skip_special`.
    ///
    /// Ids that are no token (a model's table of embeddings is often longer than its vocabulary)
    /// are passed over; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, PromptError> {
        self.shared
            .fast
            .decode(ids, skip_special)
            .map_err(|error| PromptError::Decode { reason: error.to_string() })
    }

    /// The id of a token as the vocabulary spells it, added tokens included.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.shared.fast.token_to_id(token)
    }

    /// Number of tokens, added tokens included; the model may have more rows of embeddings.
    pub fn vocab_size(&self) -> usize {
        self.shared.fast.get_vocab_size(true)
    }

    /// The ids of the special tokens, ascending.
    pub fn special_ids(&self) -> &[u32] {
        &self.shared.special_ids
    }

    /// Whether every token is a string of bytes, and the text is these strings put together.
    pub(super) fn is_byte_level(&self) -> bool {
        self.shared.byte_level
    }

    /// How the vocabulary spells a token that shows in the text: none for special tokens, and none
    /// for ids that are no token.
    pub(super) fn shown_token(&self, id: u32) -> Option<String> {
        let fast = &self.shared.fast;
        fast.id_to_token(id).filter(|token| !fast.get_added_vocabulary().is_special_token(token))
    }
}

fn is_byte_level(decoder: &DecoderWrapper) -> bool {
    match decoder {
        DecoderWrapper::ByteLevel(_) => true,
        DecoderWrapper::Sequence(sequence) => {
            matches!(sequence.get_decoders(), [DecoderWrapper::ByteLevel(_)])
        }
        _ => false,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;
    use crate::prompt::detokenizer::byte_of;

    /// The pre-tokenizer of Qwen2.5 as its `tokenizer.json` has it.
    const QWEN_PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// A small tokenizer of the Qwen kind: all bytes, a few merges, special and other added tokens.
    pub fn byte_level_json() -> Value {
        let alphabet: Vec<char> =
            (0..0x200).filter_map(char::from_u32).filter(|letter| byte_of(*letter).is_some()).collect();
        assert_eq!(alphabet.len(), 256);
        let merges =
            [("l", "l"), ("ll", "o"), ("h", "e"), ("he", "llo"), ("Ġ", "hello"), ("Ã", "©"), ("ð", "Ł")];
        let mut vocab: Vec<String> = alphabet.iter().map(char::to_string).collect();
        vocab.extend(merges.iter().map(|(left, right)| format!("{left}{right}")));
        let added: Vec<Value> = [
            ("<|im_start|>", true),
            ("<|im_end|>", true),
            ("<|image_pad|>", true),
            ("<tool_é>", false),
            ("<a鳥>", false),
        ]
        .into_iter()
        .enumerate()
        .map(|(index, (content, special))| {
            json!({
                "id": vocab.len() + index, "content": content, "special": special,
                "single_word": false, "lstrip": false, "rstrip": false, "normalized": false
            })
        })
        .collect();
        let vocab: serde_json::Map<String, Value> =
            vocab.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
        json!({
            "version": "1.0",
            "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
            "padding": null,
            "added_tokens": added,
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": QWEN_PATTERN}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false}
            ]},
            "post_processor": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "vocab": vocab,
                "merges": merges.map(|(left, right)| format!("{left} {right}"))
            }
        })
    }

    /// Reads a tokenizer from JSON.
    pub fn tokenizer(json: &Value) -> Tokenizer {
        Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn special_tokens_in_the_text_become_one_id() {
        let tokenizer = tokenizer(&byte_level_json());
        let id = |token| tokenizer.token_id(token).unwrap();
        assert_eq!(
            tokenizer.encode("<|im_start|>hello hello\u{e9}<|im_end|>").unwrap(),
            [id("<|im_start|>"), id("hello"), id("Ġhello"), id("Ã©"), id("<|im_end|>")]
        );
        assert_eq!(tokenizer.special_ids(), [263, 264, 265]);
        assert_eq!(tokenizer.vocab_size(), 268);
        assert_eq!(tokenizer.token_id("<|missing|>"), None);
        assert!(tokenizer.is_byte_level());
    }

    #[test]
    fn truncation_of_the_file_is_dropped() {
        let tokenizer = tokenizer(&byte_level_json());
        assert_eq!(tokenizer.encode("abcdefghij").unwrap().len(), 10);
    }

    #[test]
    fn text_is_composed_before_it_is_encoded() {
        let tokenizer = tokenizer(&byte_level_json());
        assert_eq!(tokenizer.encode("e\u{301}").unwrap(), tokenizer.encode("\u{e9}").unwrap());
    }

    #[test]
    fn decoding_skips_special_tokens_when_asked() {
        let tokenizer = tokenizer(&byte_level_json());
        let ids = tokenizer.encode("<|im_start|>hello<|im_end|>").unwrap();
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "hello");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), "<|im_start|>hello<|im_end|>");
        assert_eq!(tokenizer.decode(&[9_999, ids[1]], true).unwrap(), "hello");
    }

    /// The expected pieces are those of the `tokenizers` 0.23 wheel, whose regular expressions are
    /// Oniguruma's; here they are fancy-regex's.
    #[test]
    fn the_pattern_of_qwen_cuts_as_it_does_in_python() {
        let cases: &[(&str, &[&str])] = &[
            ("Hello  world", &["Hello", " ", " world"]),
            ("I'LL we'Ve x'\u{17f}t", &["I", "'LL", " we", "'Ve", " x", "'\u{17f}", "t"]),
            ("2024 a1b22", &["2", "0", "2", "4", " a", "1", "b", "2", "2"]),
            ("a\n\n  b\r\n", &["a", "\n\n", " ", " b", "\r\n"]),
            ("end.  \n \t", &["end", ".", "  \n", " \t"]),
            (" ?!\n\nx", &[" ?!\n\n", "x"]),
            ("\u{3000}鳥は\u{a0}\u{a0}x", &["\u{3000}鳥は", "\u{a0}", "\u{a0}x"]),
            ("½Ⅷ٣", &["½", "Ⅷ", "٣"]),
            ("<think>\nok</think>", &["<think", ">\n", "ok", "</", "think", ">"]),
            ("e\u{301}🐦\u{200d}⬛", &["e", "\u{301}🐦\u{200d}⬛"]),
        ];
        let tokenizer = tokenizer(&byte_level_json());
        let split = match tokenizer.shared.fast.get_pre_tokenizer().unwrap() {
            tokenizers::PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref()[0].clone(),
            other => panic!("expected a sequence, found {other:?}"),
        };
        for (text, expected) in cases {
            let mut pieces = PreTokenizedString::from(*text);
            split.pre_tokenize(&mut pieces).unwrap();
            let pieces: Vec<&str> = pieces
                .get_splits(OffsetReferential::Original, OffsetType::Byte)
                .into_iter()
                .map(|(piece, ..)| piece)
                .collect();
            assert_eq!(pieces, *expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_tokenizer() {
        let error = Tokenizer::from_bytes(b"{}").unwrap_err();
        assert!(matches!(error, PromptError::TokenizerFile { .. }));
        assert!(error.to_string().starts_with("not a tokenizer.json: "));
    }

    #[test]
    fn no_beginning_of_a_file_passes_for_the_whole() {
        let mut json = byte_level_json();
        // The interesting parts alone, to keep the number of beginnings small.
        json["model"]["vocab"] = json!({"a": 0});
        json["model"]["merges"] = json!([]);
        let whole = json.to_string();
        assert!(Tokenizer::from_bytes(whole.as_bytes()).is_ok());
        for length in (0..whole.len()).filter(|length| whole.is_char_boundary(*length)) {
            let error = Tokenizer::from_bytes(&whole.as_bytes()[..length]).unwrap_err();
            assert!(matches!(error, PromptError::TokenizerFile { .. }), "{length}: {error}");
        }
    }

    #[test]
    fn strange_decoders_and_normalizers_are_refused() {
        for (part, strange) in [
            ("decoder", json!(3)),
            ("decoder", json!({"type": "Unheard"})),
            ("decoder", json!({"type": "ByteLevel", "add_prefix_space": "yes"})),
            ("normalizer", json!({"type": "Unheard"})),
            ("normalizer", json!({"type": "Precompiled", "precompiled_charsmap": 3})),
        ] {
            let mut json = byte_level_json();
            json[part] = strange;
            let error = Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap_err();
            assert!(matches!(error, PromptError::TokenizerFile { .. }), "{json}: {error}");
        }
    }
}
