//! The example photos that come with the page: `examples/examples.json`.

use crate::problem::failure;
use fine_r1_web::protocol::{Failure, codes};
use serde::Deserialize;

/// Where the list and its photos are, relative to the page.
pub const FOLDER: &str = "examples/";

/// The list itself.
pub const LIST: &str = "examples/examples.json";

/// A photo to try.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Example {
    /// Name of the file in the folder.
    pub file: String,
    /// What the photo shows.
    pub label: String,
    /// Names to choose among.
    #[serde(default)]
    pub candidates: Vec<String>,
}

impl Example {
    /// Where the photo is, relative to the page.
    pub fn address(&self) -> String {
        format!("{FOLDER}{}", self.file)
    }
}

/// Reads the list. Entries that name a file outside the folder are a mistake.
pub fn parse(text: &str) -> Result<Vec<Example>, Failure> {
    let hint = "use a photo of your own; whoever serves this page should build it again";
    let examples: Vec<Example> = serde_json::from_str(text)
        .map_err(|_| failure(codes::INTERNAL, "the list of example photos cannot be read", hint))?;
    if examples.iter().any(|example| !is_plain_name(&example.file)) {
        return Err(failure(
            codes::INTERNAL,
            "the list of example photos names a file outside its folder",
            hint,
        ));
    }
    Ok(examples)
}

fn is_plain_name(file: &str) -> bool {
    !file.is_empty()
        && !file.starts_with('.')
        && file.chars().all(|letter| letter.is_ascii_alphanumeric() || ['.', '-', '_'].contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read() {
        let list = r#"[{"file":"photo-1.jpg","label":"A320","candidates":["A319","A320"]},
            {"file":"photo-2.jpg","label":"E-190"}]"#;
        let examples = parse(list).unwrap();
        assert_eq!(examples[0].candidates, ["A319", "A320"]);
        assert_eq!(examples[1].address(), "examples/photo-2.jpg");
        assert!(examples[1].candidates.is_empty());
    }

    #[test]
    fn a_broken_list_is_a_failure_with_a_hint() {
        for list in ["", "<!doctype html>", r#"[{"file":"../secret.jpg","label":""}]"#] {
            let error = parse(list).unwrap_err();
            assert!(error.message.contains("example photos"), "{list}");
            assert!(!error.hint.is_empty());
        }
    }
}
