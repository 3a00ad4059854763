//! `manifest`: what browsers fetch, with sizes and hashes.

use crate::program::{Refusals, trainer};
use crate::scratch::Scratch;
use fine_r1_core::config::Manifest;
use fine_r1_core::config::manifest::MANIFEST_FILE;
use fine_r1_tests::workspace;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;

fn read(folder: &Path) -> Manifest {
    let text = fs::read_to_string(folder.join(MANIFEST_FILE)).expect("a manifest");
    Manifest::from_json(&text).expect("our own manifest")
}

fn assert_fits(folder: &Path, manifest: &Manifest) {
    for file in &manifest.files {
        let bytes = fs::read(folder.join(&file.path)).expect("a listed file");
        assert_eq!(file.bytes, bytes.len() as u64, "{}", file.path);
        assert_eq!(file.sha256, format!("{:x}", Sha256::digest(&bytes)), "{}", file.path);
    }
}

#[test]
fn a_checkpoint_in_shards_is_listed_whole() {
    let folder = Scratch::checkpoint("qwen2_5_vl-untied");
    let run = trainer(["manifest", &folder.dir(), "--name", "tiny"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let manifest = read(folder.path());
    assert_eq!(manifest.name, "tiny");
    for path in ["config.json", "tokenizer.json", "model.safetensors.index.json"] {
        assert!(manifest.file(path).is_some(), "{path}");
    }
    let shards = manifest.files.iter().filter(|file| file.path.ends_with(".safetensors")).count();
    assert_eq!(shards, 2);
    assert_fits(folder.path(), &manifest);
}

/// A model that was replaced has its manifest made anew.
#[test]
fn the_shipped_manifests_fit_the_shipped_models() {
    for model in ["nano", "nano-base"] {
        let folder = workspace().join("trainer-native/models").join(model);
        let manifest = read(&folder);
        assert_eq!(manifest.name, model);
        assert_fits(&folder, &manifest);
    }
}

#[test]
fn what_cannot_be_loaded_is_not_published() {
    let mut refusals = Refusals::default();
    let folder = Scratch::checkpoint("qwen2_5_vl-untied");
    folder.remove("model-00002-of-00002.safetensors");
    refusals.expect("a missing shard", ["manifest", &folder.dir()], &["model-00002-of-00002.safetensors"]);
    folder.remove("tokenizer.json");
    refusals.expect("a missing tokenizer", ["manifest", &folder.dir()], &["tokenizer.json"]);
    refusals.check();
    assert!(!folder.at(MANIFEST_FILE).exists());
}
