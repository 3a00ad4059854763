//! Token ids to text while they come: text is given out once it is certain, and no character is
//! ever split.
//!
//! Byte-level tokenizers are decoded byte by byte, others through a window of the last tokens as in
//! <https://github.com/huggingface/text-generation-inference/blob/00359fcdc5cca7e802cdc7ade953440bb496f0ef/server/text_generation_server/models/model.py>.

use std::mem;

use super::{PromptError, Tokenizer};

/// Turns a stream of ids into a stream of text; special tokens are skipped.
///
/// The pieces put together are [`Tokenizer::decode`] of all ids without special tokens. What a push
/// costs does not grow with the length of the text.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Tokenizer,
    held: Held,
}

/// What came in and is not given out yet.
#[derive(Debug, Clone)]
enum Held {
    /// The bytes of a character that has begun: at most three.
    Bytes(Vec<u8>),
    /// The tokens given out last, up to `read`, and those not given out yet, from `read`.
    Window { ids: Vec<u32>, read: usize },
}

impl Held {
    fn nothing(tokenizer: &Tokenizer) -> Self {
        if tokenizer.is_byte_level() {
            Self::Bytes(Vec::new())
        } else {
            Self::Window { ids: Vec::new(), read: 0 }
        }
    }
}

impl Detokenizer {
    /// A detokenizer at the start of a text.
    pub fn new(tokenizer: Tokenizer) -> Self {
        let held = Held::nothing(&tokenizer);
        Self { tokenizer, held }
    }

    /// Takes one id; gives the text that is certain now, often none.
    ///
    /// Special tokens, and ids that are no token, give nothing.
    pub fn push(&mut self, id: u32) -> Result<String, PromptError> {
        /// Most tokens that wait for a character to be completed: no character is longer.
        const LONGEST_WAIT: usize = 4;

        let Some(token) = self.tokenizer.shown_token(id) else {
            return Ok(String::new());
        };
        match &mut self.held {
            Held::Bytes(bytes) => {
                push_bytes(&token, bytes);
                Ok(take_certain(bytes))
            }
            Held::Window { ids, read } => {
                ids.push(id);
                if is_byte_token(&token) {
                    // A run of bytes is text or not as a whole, so it waits for its end.
                    return Ok(String::new());
                }
                let (text, is_complete) = unread_text(&self.tokenizer, ids, *read)?;
                if !is_complete && ids.len() - *read < LONGEST_WAIT {
                    return Ok(String::new());
                }
                ids.drain(..*read);
                *read = ids.len();
                Ok(text)
            }
        }
    }

    /// Ends the text: gives what was withheld, with U+FFFD for a character that was never
    /// completed. The detokenizer is then at the start of another text.
    pub fn finish(&mut self) -> String {
        match mem::replace(&mut self.held, Held::nothing(&self.tokenizer)) {
            Held::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            // Ids that do not decode have been reported by `push`.
            Held::Window { ids, read } => {
                unread_text(&self.tokenizer, &ids, read).map(|(text, _)| text).unwrap_or_default()
            }
        }
    }
}

/// The text of `ids[read..]` after `ids[..read]`, and whether its last character is complete.
fn unread_text(tokenizer: &Tokenizer, ids: &[u32], read: usize) -> Result<(String, bool), PromptError> {
    let before = tokenizer.decode(&ids[..read], true)?;
    let mut text = tokenizer.decode(ids, true)?;
    let is_complete = !text.ends_with(char::REPLACEMENT_CHARACTER);
    let shared: usize = before
        .chars()
        .zip(text.chars())
        .take_while(|(left, right)| left == right)
        .map(|(letter, _)| letter.len_utf8())
        .sum();
    text.drain(..shared);
    Ok((text, is_complete))
}

/// Whether a token is one byte as SentencePiece spells it: `<0x0A>`.
fn is_byte_token(token: &str) -> bool {
    token
        .strip_prefix("<0x")
        .and_then(|rest| rest.strip_suffix('>'))
        .is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}

/// Appends the bytes of a byte-level token; an added token that is spelled in other letters stands
/// for itself.
fn push_bytes(token: &str, bytes: &mut Vec<u8>) {
    let length = bytes.len();
    for letter in token.chars() {
        match byte_of(letter) {
            Some(byte) => bytes.push(byte),
            None => {
                bytes.truncate(length);
                bytes.extend_from_slice(token.as_bytes());
                return;
            }
        }
    }
}

/// The byte that a letter of a byte-level vocabulary stands for: printable bytes are themselves,
/// the other 68 follow from U+0100 on.
///
/// <https://github.com/openai/gpt-2/blob/27a08882c7706499a2c044840fa3d464ac4f5f0b/src/encoder.py#L9>
pub(super) fn byte_of(letter: char) -> Option<u8> {
    match letter {
        '!'..='~' | '¡'..='¬' | '®'..='ÿ' => u8::try_from(letter).ok(),
        '\u{100}'..='\u{143}' => {
            let index = u8::try_from(u32::from(letter) - 0x100).ok()?;
            Some(match index {
                0..=0x20 => index,
                0x21..=0x42 => index - 0x21 + 0x7f,
                _ => 0xad,
            })
        }
        _ => None,
    }
}

/// Takes the text off the front of `bytes`, and leaves the beginning of a character at their end.
fn take_certain(bytes: &mut Vec<u8>) -> String {
    let begun = match bytes.utf8_chunks().last() {
        Some(chunk) => begun_character(chunk.invalid()),
        None => 0,
    };
    let rest = bytes.split_off(bytes.len() - begun);
    let certain = mem::replace(bytes, rest);
    String::from_utf8_lossy(&certain).into_owned()
}

/// Length of `invalid` if more bytes can make it a character, else 0.
fn begun_character(invalid: &[u8]) -> usize {
    match std::str::from_utf8(invalid) {
        Err(error) if error.error_len().is_none() => invalid.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::prompt::tokenizer::tests::{byte_level_json, tokenizer};

    fn pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
        let mut detokenizer = Detokenizer::new(tokenizer.clone());
        let mut pieces: Vec<String> = ids.iter().map(|id| detokenizer.push(*id).unwrap()).collect();
        pieces.push(detokenizer.finish());
        pieces
    }

    fn id_of_byte(tokenizer: &Tokenizer, byte: u8) -> u32 {
        let letter =
            (0..0x200).filter_map(char::from_u32).find(|letter| byte_of(*letter) == Some(byte)).unwrap();
        tokenizer.token_id(&letter.to_string()).unwrap()
    }

    #[test]
    fn every_byte_has_one_letter() {
        let mut bytes: Vec<u8> = (0..0x1_0000).filter_map(char::from_u32).filter_map(byte_of).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(byte_of('Ġ'), Some(b' '));
        assert_eq!(byte_of('Ċ'), Some(b'\n'));
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let tokenizer = tokenizer(&byte_level_json());
        let ids: Vec<u32> = "a🐦".bytes().map(|byte| id_of_byte(&tokenizer, byte)).collect();
        assert_eq!(pieces(&tokenizer, &ids), ["a", "", "", "", "🐦", ""]);
        assert_eq!(
            pieces(&tokenizer, &ids[..4]),
            ["a", "", "", "", char::REPLACEMENT_CHARACTER.to_string().as_str()]
        );
    }

    #[test]
    fn a_character_that_breaks_off_is_replaced_as_soon_as_that_is_certain() {
        let tokenizer = tokenizer(&byte_level_json());
        let ids: Vec<u32> = [0xf0, 0x9f, b'a', 0xff].map(|byte| id_of_byte(&tokenizer, byte)).to_vec();
        assert_eq!(pieces(&tokenizer, &ids), ["", "", "\u{fffd}a", "\u{fffd}", ""]);
    }

    #[test]
    fn special_tokens_do_not_show_and_do_not_part_a_character() {
        let tokenizer = tokenizer(&byte_level_json());
        let end = tokenizer.token_id("<|im_end|>").unwrap();
        let [first, second] = [0xc3, 0xa9].map(|byte| id_of_byte(&tokenizer, byte));
        assert_eq!(pieces(&tokenizer, &[first, end, second, end, 99_999]), ["", "", "é", "", "", ""]);
    }

    #[test]
    fn after_the_end_another_text_begins() {
        let tokenizer = tokenizer(&byte_level_json());
        let mut detokenizer = Detokenizer::new(tokenizer.clone());
        detokenizer.push(id_of_byte(&tokenizer, 0xc3)).unwrap();
        assert_eq!(detokenizer.finish(), "\u{fffd}");
        assert_eq!(detokenizer.finish(), "");
        assert_eq!(detokenizer.push(id_of_byte(&tokenizer, b'a')).unwrap(), "a");
    }

    #[test]
    fn bytes_as_sentencepiece_spells_them() {
        assert!(is_byte_token("<0x0A>"));
        assert!(!is_byte_token("<0xA>"));
        assert!(!is_byte_token("<0xGG>"));
        assert!(!is_byte_token("<think>"));
    }

    /// A tokenizer that only ever decodes: these tokens, and this decoder.
    fn decoding(tokens: &[&str], decoder: &Value) -> Tokenizer {
        let vocab: serde_json::Map<String, Value> =
            tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), json!(id))).collect();
        tokenizer(&json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{
                "id": 0, "content": tokens[0], "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false
            }],
            "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": decoder,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": true,
                "vocab": vocab, "merges": []
            }
        }))
    }

    fn llama() -> Tokenizer {
        decoding(
            &[
                "</s>", "▁", "▁the", "bird", "▁▁", "<0xF0>", "<0x9F>", "<0x90>", "<0xA6>", "<0x41>", "é",
                "\u{fffd}",
            ],
            &json!({"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}
            ]}),
        )
    }

    fn metaspace() -> Tokenizer {
        decoding(
            &["</s>", "▁", "▁the", "bird", "▁▁", "é"],
            &json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}),
        )
    }

    fn word_piece() -> Tokenizer {
        decoding(
            &["[SEP]", "the", "##bird", ".", "n't", "é"],
            &json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        )
    }

    fn words() -> Tokenizer {
        decoding(&["[SEP]", "the", "bird", "é"], &Value::Null)
    }

    #[test]
    fn a_run_of_byte_tokens_waits_for_its_end() {
        let tokenizer = llama();
        assert_eq!(
            pieces(&tokenizer, &[2, 5, 6, 7, 8, 0, 3, 9]),
            ["the", "", "", "", "", "", "🐦bird", "", "A"]
        );
    }

    static BYTE_LEVEL: LazyLock<Tokenizer> = LazyLock::new(|| tokenizer(&byte_level_json()));
    static LETTERS: LazyLock<Vec<u32>> =
        LazyLock::new(|| (0..=255).map(|byte| id_of_byte(&BYTE_LEVEL, byte)).collect());
    static OTHERS: LazyLock<[Tokenizer; 4]> = LazyLock::new(|| [llama(), metaspace(), word_piece(), words()]);

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn pieces_of_random_ids_make_the_whole(ids in prop::collection::vec(0_u32..270, 0..64)) {
            let tokenizer = &*BYTE_LEVEL;
            prop_assert_eq!(
                pieces(tokenizer, &ids).concat(),
                tokenizer.decode(&ids, true).unwrap()
            );
        }

        #[test]
        fn pieces_of_random_text_make_the_whole(text in "\\PC{0,40}|[a-zé🐦鳥\u{301} \n]{0,40}") {
            let tokenizer = &*BYTE_LEVEL;
            let ids = tokenizer.encode(&text).unwrap();
            let pieces = pieces(tokenizer, &ids);
            prop_assert!(pieces.iter().all(|piece| !piece.contains(char::REPLACEMENT_CHARACTER)
                || text.contains(char::REPLACEMENT_CHARACTER)));
            prop_assert_eq!(pieces.concat(), tokenizer.decode(&ids, true).unwrap());
        }

        #[test]
        fn pieces_of_random_bytes_make_the_whole(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let tokenizer = &*BYTE_LEVEL;
            let ids: Vec<u32> = bytes.iter().map(|byte| LETTERS[usize::from(*byte)]).collect();
            prop_assert_eq!(
                pieces(tokenizer, &ids).concat(),
                String::from_utf8_lossy(&bytes)
            );
        }

        #[test]
        fn at_most_three_bytes_are_held(ids in prop::collection::vec(0_u32..270, 0..64)) {
            let mut detokenizer = Detokenizer::new(BYTE_LEVEL.clone());
            for id in ids {
                detokenizer.push(id).unwrap();
                prop_assert!(matches!(&detokenizer.held, Held::Bytes(bytes) if bytes.len() <= 3));
            }
        }

        #[test]
        fn other_decoders_make_the_whole_too(ids in prop::collection::vec(0_u32..14, 0..48)) {
            for tokenizer in OTHERS.iter() {
                prop_assert!(!tokenizer.is_byte_level());
                prop_assert_eq!(
                    pieces(tokenizer, &ids).concat(),
                    tokenizer.decode(&ids, true).unwrap(),
                    "{:?}", tokenizer
                );
            }
        }
    }
}
