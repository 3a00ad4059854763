//! Dependencies flow one way: core <- trainer-native, core <- web <- www; tests look at all, and
//! nobody looks at tests.

use fine_r1_tests::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use toml::Table;

/// Rooms, and the rooms that each may lean on.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("core", &[]),
    ("trainer-native", &["fine-r1-core"]),
    ("web", &["fine-r1-core"]),
    ("www", &["fine-r1-web"]),
    ("tests", &["fine-r1-core", "trainer-native", "fine-r1-web", "fine-r1-www"]),
    ("xtask", &[]),
];

fn manifest(folder: &str) -> Table {
    let path = workspace().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn package(manifest: &Table) -> &str {
    manifest["package"]["name"].as_str().expect("a package has a name")
}

/// Names in every table of dependencies, also those of single targets.
fn dependencies(table: &Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in table {
        let Some(inner) = value.as_table() else { continue };
        if ["dependencies", "dev-dependencies", "build-dependencies"].contains(&key.as_str()) {
            for (name, entry) in inner {
                let renamed = entry.get("package").and_then(|package| package.as_str());
                names.insert(renamed.unwrap_or(name).to_owned());
            }
        } else if key == "target" {
            names.extend(inner.values().filter_map(|target| target.as_table()).flat_map(dependencies));
        }
    }
    names
}

#[test]
fn rooms_lean_on_each_other_in_one_direction() {
    let members: BTreeSet<String> = manifest("")["workspace"]["members"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|member| member.as_str().expect("a folder").to_owned())
        .collect();
    let known: BTreeSet<String> = ALLOWED.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(members, known, "every room has its line in this test");
    let rooms: BTreeMap<&str, Table> =
        ALLOWED.iter().map(|(folder, _)| (*folder, manifest(folder))).collect();
    let packages: BTreeSet<String> = rooms.values().map(|manifest| package(manifest).to_owned()).collect();
    for (folder, allowed) in ALLOWED {
        let leaned_on: Vec<String> = dependencies(&rooms[folder]).intersection(&packages).cloned().collect();
        for name in leaned_on {
            assert!(allowed.contains(&name.as_str()), "{folder} leans on {name}, allowed is {allowed:?}");
        }
    }
}

/// What would bring files, threads, clocks, devices or a page into a room that has none.
#[test]
fn rooms_do_not_bring_in_what_they_may_not_use() {
    for (folder, refused) in [
        ("core", ["memmap2", "tokio", "clap", "pollster", "web-sys", "burn-wgpu", "burn-cuda"].as_slice()),
        ("www", ["burn", "fine-r1-core", "safetensors", "tokenizers"].as_slice()),
    ] {
        let manifest = manifest(folder);
        let found: Vec<String> =
            dependencies(&manifest).into_iter().filter(|name| refused.contains(&name.as_str())).collect();
        assert!(found.is_empty(), "{folder} depends on {found:?}");
    }
}

/// Who wants no threads gets none.
#[test]
fn the_core_has_threads_on_request_alone() {
    let manifest = manifest("core");
    assert_eq!(manifest["dependencies"]["rayon"]["optional"].as_bool(), Some(true));
    assert!(manifest["features"].get("default").is_none(), "no feature is on by itself");
}

/// A backend is chosen by whoever makes a program; core has one for its own tests only.
#[test]
fn the_core_asks_for_no_backend() {
    let manifest = manifest("core");
    let features = manifest["dependencies"]["burn"].get("features").and_then(|features| features.as_array());
    let features: Vec<&str> = features.into_iter().flatten().filter_map(|feature| feature.as_str()).collect();
    let refused = ["flex", "wgpu", "webgpu", "vulkan", "cuda", "metal", "ndarray", "default", "tch", "rocm"];
    assert!(features.iter().all(|feature| !refused.contains(feature)), "core asks burn for {features:?}");
}
