//! Which model: the one beside the page, or a folder somewhere else.

use crate::problem::failure;
use fine_r1_web::protocol::{Failure, StoredModel, codes};
use serde::Deserialize;

/// Folder of the model that comes with the page, relative to it.
pub const NANO: &str = "models/nano/";

/// Where a model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModelSource {
    /// The model beside the page.
    #[default]
    Nano,
    /// A folder whose URL is typed.
    Url,
}

impl ModelSource {
    /// As the choice is called in the page.
    pub fn from_value(value: &str) -> Self {
        match value {
            "url" => Self::Url,
            _ => Self::Nano,
        }
    }

    /// The address of the folder as it was typed; a failure where nothing was.
    pub fn address(self, typed: &str) -> Result<String, Failure> {
        match (self, typed.trim()) {
            (Self::Nano, _) => Ok(NANO.to_owned()),
            (Self::Url, "") => Err(failure(
                codes::NOT_FOUND,
                "no model URL is given",
                "type the URL of a folder that holds a manifest.json, or choose nano",
            )),
            (Self::Url, typed) => Ok(typed.to_owned()),
        }
    }
}

/// What a manifest says about a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSize {
    /// The model's name.
    pub name: String,
    /// Size of all files.
    pub bytes: f64,
    /// Number of files.
    pub files: usize,
}

#[derive(Deserialize)]
struct Manifest {
    name: String,
    files: Vec<ManifestFile>,
}

#[derive(Deserialize)]
struct ManifestFile {
    bytes: f64,
}

/// Adds up the sizes in a `manifest.json`.
pub fn size_of_manifest(text: &str) -> Result<ModelSize, Failure> {
    let manifest: Manifest = serde_json::from_str(text).map_err(|_| {
        failure(
            codes::BAD_MODEL,
            "the model's manifest.json cannot be read",
            "check that the URL leads to a model folder; its manifest lists every file with size and hash",
        )
    })?;
    Ok(ModelSize {
        name: manifest.name,
        bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        files: manifest.files.len(),
    })
}

/// The stored model that a folder's address means, if all of it is there.
pub fn stored_whole<'models>(models: &'models [StoredModel], base_url: &str) -> Option<&'models StoredModel> {
    let plain = |url: &str| url.trim_end_matches('/').to_owned();
    models.iter().find(|model| plain(&model.base_url) == plain(base_url) && is_whole(model))
}

/// Whether all files of a stored model are there.
pub fn is_whole(model: &StoredModel) -> bool {
    model.bytes >= model.total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_address_is_needed_only_for_other_models() {
        assert_eq!(ModelSource::from_value("nano").address("").unwrap(), NANO);
        assert_eq!(
            ModelSource::from_value("url").address(" https://a.example/m ").unwrap(),
            "https://a.example/m"
        );
        assert_eq!(ModelSource::Url.address("  ").unwrap_err().code, codes::NOT_FOUND);
    }

    #[test]
    fn a_manifest_tells_the_size() {
        let text = r#"{"name":"nano","files":[{"path":"config.json","bytes":1200,"sha256":"00"},
            {"path":"model.safetensors","bytes":4941480,"sha256":"01"}]}"#;
        let size = size_of_manifest(text).unwrap();
        assert_eq!((size.name.as_str(), size.bytes, size.files), ("nano", 4_942_680.0, 2));
        assert_eq!(size_of_manifest("<html>").unwrap_err().code, codes::BAD_MODEL);
    }

    #[test]
    fn a_half_stored_model_is_not_whole() {
        let model = |bytes| StoredModel {
            name: "nano".into(),
            base_url: "https://a.example/models/nano/".into(),
            bytes,
            total: 10.0,
        };
        assert!(stored_whole(&[model(10.0)], "https://a.example/models/nano").is_some());
        assert!(stored_whole(&[model(4.0)], "https://a.example/models/nano").is_none());
        assert!(stored_whole(&[model(10.0)], "https://b.example/models/nano").is_none());
    }
}
