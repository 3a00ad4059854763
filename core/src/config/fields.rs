//! From the text of a configuration file to typed fields; what is of the wrong type is named.

use super::ConfigError;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The object that a file holds.
///
/// # Errors
/// No JSON, or no object.
pub fn read_object(file: &'static str, text: &str) -> Result<Map<String, Value>, ConfigError> {
    serde_json::from_str(text).map_err(|source| ConfigError::Json { file, source })
}

/// A part of a file as the type that it should have; `at` is the part's dotted path, empty for the
/// whole file.
///
/// # Errors
/// A field is of another type.
pub fn read_fields<T: DeserializeOwned>(
    file: &'static str,
    at: &str,
    part: impl Into<Value>,
) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(part.into()).map_err(|error| {
        let inside = error.path().to_string();
        // The whole part is spelled `.`.
        let field = match (at, inside.as_str()) {
            (at, ".") => at.to_owned(),
            ("", inside) => inside.to_owned(),
            (at, inside) if inside.starts_with('[') => format!("{at}{inside}"),
            (at, inside) => format!("{at}.{inside}"),
        };
        ConfigError::Field { file, field, source: error.into_inner() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only the errors matter")]
    struct Sizes {
        width: usize,
        sections: [usize; 3],
    }

    #[test]
    fn the_wrong_field_is_named_with_its_path() {
        for (at, part, expected) in [
            ("", json!({ "width": "32", "sections": [1, 2, 3] }), "width"),
            ("vision", json!({ "width": -32, "sections": [1, 2, 3] }), "vision.width"),
            ("vision", json!({ "width": 32, "sections": [1, 2] }), "vision.sections"),
            ("vision", json!({ "width": 32, "sections": [1, true, 3] }), "vision.sections[1]"),
            ("vision", json!(7), "vision"),
        ] {
            let error = read_fields::<Sizes>("config.json", at, part).unwrap_err();
            assert!(error.to_string().starts_with(&format!("config.json: `{expected}`: ")), "{error}");
        }
        let error = read_fields::<[usize; 3]>("config.json", "sections", json!([1, -2, 3])).unwrap_err();
        assert!(error.to_string().contains("`sections[1]`"), "{error}");
    }

    #[test]
    fn a_cut_file_is_called_damaged() {
        let error = read_object("config.json", r#"{"width": 3"#).unwrap_err();
        assert!(matches!(error, ConfigError::Json { .. }), "{error}");
        assert!(error.hint().contains("damaged"), "{}", error.hint());
    }
}
