//! When an answer ends.

use serde::{Deserialize, Serialize};

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model wrote an end token.
    EndToken,
    /// A stop string appeared.
    StopString,
    /// As many tokens as were asked for.
    Length,
    /// The context is full.
    ContextFull,
}

/// What ends an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopRules {
    /// Tokens that end it; they are counted, but are no part of the text.
    pub ids: Vec<u32>,
    /// Strings that end it; they are no part of the text.
    pub strings: Vec<String>,
    /// Most tokens of an answer.
    pub max_new_tokens: usize,
}

/// Watches a growing text for stop strings, holding back only what could still become one.
#[derive(Debug, Clone)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
}

impl StopStrings {
    /// Watches for these strings; empty ones are ignored.
    #[must_use]
    pub fn new(strings: &[String]) -> Self {
        let strings = strings.iter().filter(|string| !string.is_empty()).cloned().collect();
        Self { strings, held: String::new() }
    }

    /// Takes more text; returns what is certain, and whether a stop string ended the text.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        if let Some(start) = self.strings.iter().filter_map(|string| self.held.find(string)).min() {
            let before = self.held[..start].to_owned();
            self.held.clear();
            return (before, true);
        }
        let keep = (0..=self.held.len())
            .filter(|start| self.held.is_char_boundary(*start))
            .find(|start| self.strings.iter().any(|string| string.starts_with(&self.held[*start..])))
            .unwrap_or(self.held.len());
        let certain = self.held[..keep].to_owned();
        self.held.drain(..keep);
        (certain, false)
    }

    /// What was held back, once no more text comes.
    #[must_use]
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_string_cut_in_two_is_found_and_nothing_else_is_held() {
        let mut stop = StopStrings::new(&["</answer>".into()]);
        assert_eq!(stop.push("A320</an"), ("A320".into(), false));
        assert_eq!(stop.push("d</answ"), ("</and".into(), false));
        assert_eq!(stop.push("er>tail"), (String::new(), true));
        let mut none = StopStrings::new(&[]);
        assert_eq!(none.push("</an"), ("</an".into(), false));
    }
}
