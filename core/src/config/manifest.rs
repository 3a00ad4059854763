//! `manifest.json`: the files of a model folder with sizes and hashes, for whoever fetches it over a network.

use super::ConfigError;
use super::fields::{read_fields, read_object};
use serde::{Deserialize, Serialize};

/// Name of the manifest in a model's folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What a model folder holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What people call the model.
    pub name: String,
    /// All files that a model needs, in any order.
    pub files: Vec<ManifestFile>,
}

/// One file of a model folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// A plain file name.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, in lower-case hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// No JSON of this form, a file name with a folder in it, or a hash of another length.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let manifest: Self = read_fields(MANIFEST_FILE, "", read_object(MANIFEST_FILE, text)?)?;
        for file in &manifest.files {
            let path = &file.path;
            if path.is_empty() || path == "." || path == ".." || path.contains(['/', '\\']) {
                return Err(ConfigError::value(MANIFEST_FILE, "path", path, "a plain file name"));
            }
            if file.sha256.len() != 64 || file.sha256.bytes().any(|digit| !digit.is_ascii_hexdigit()) {
                return Err(ConfigError::value(
                    MANIFEST_FILE,
                    "sha256",
                    &file.sha256,
                    "64 hexadecimal digits",
                ));
            }
        }
        Ok(manifest)
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// The entry of a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&ManifestFile> {
        self.files.iter().find(|file| file.path == path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_folders_and_short_hashes_are_refused() {
        let text = |path: &str, hash: &str| {
            format!(r#"{{"name":"nano","files":[{{"path":"{path}","bytes":3,"sha256":"{hash}"}}]}}"#)
        };
        let hash = "0".repeat(64);
        assert_eq!(Manifest::from_json(&text("a.json", &hash)).expect("a manifest").bytes(), 3);
        for (path, hash) in [("../a", hash.as_str()), ("", &hash), ("a", "00"), ("a", &"g".repeat(64))] {
            assert!(Manifest::from_json(&text(path, hash)).is_err(), "{path} {hash}");
        }
    }
}
