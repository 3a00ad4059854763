//! Failures that the page itself finds, in the words of the protocol: what happened, what to do.

use fine_r1_web::protocol::{Failure, codes};

/// A failure with its remedy.
pub fn failure(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure { code: code.to_owned(), message: message.into(), hint: hint.into() }
}

/// Whether this is no failure but somebody's wish.
pub fn is_wish(failure: &Failure) -> bool {
    failure.code == codes::ABORTED
}

/// Whether the model has to be loaded again before it can be asked.
pub fn needs_load(failure: &Failure) -> bool {
    failure.code == codes::DEVICE_LOST || failure.code == codes::NOT_LOADED
}

/// A text as a sentence: first letter large, with an end.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut sentence: String = first.to_uppercase().chain(letters).collect();
    if !sentence.ends_with(['.', '!', '?', '…']) {
        sentence.push('.');
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_begins_large_and_ends() {
        assert_eq!(sentence("the file is empty"), "The file is empty.");
        assert_eq!(sentence(" élan? "), "Élan?");
        assert_eq!(sentence("  "), "");
    }

    #[test]
    fn failures_are_told_apart_by_their_code() {
        assert!(is_wish(&failure(codes::ABORTED, "stopped", "")));
        assert!(needs_load(&failure(codes::DEVICE_LOST, "the device went away", "load the model again")));
        assert!(!needs_load(&failure(codes::BAD_IMAGE, "not a photo", "take another")));
    }
}
