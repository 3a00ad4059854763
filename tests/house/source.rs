//! Source files as the laws look at them.

use fine_r1_tests::workspace;
use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file of the workspace.
#[derive(Debug)]
pub struct Source {
    /// Relative to the workspace, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl Source {
    /// The lines that are neither comment nor test, with their numbers from 1. Tests stand at a
    /// file's end.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
            .map(|(index, line)| (index + 1, line.trim()))
            .filter(|(_, line)| !line.starts_with("//"))
    }
}

/// All Rust files of a folder of the workspace.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut found: Vec<Source> = files(&workspace().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let relative = path.strip_prefix(workspace()).expect("inside the workspace");
            Source { path: relative.to_string_lossy().replace('\\', "/"), text }
        })
        .collect();
    assert!(!found.is_empty(), "{folder} has no Rust files");
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

/// All Rust files of all rooms.
pub fn all_sources() -> Vec<Source> {
    ["core/src", "trainer-native/cubecl-llvm", "trainer-native/src", "web", "www", "xtask/src", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .flat_map(|entry| {
            let path = entry.expect("an entry").path();
            let built = path.file_name().is_some_and(|name| {
                ["target", "node_modules", "pkg", "dist"].iter().any(|built| name == *built)
            });
            match path.is_dir() {
                true if built => Vec::new(),
                true => files(&path),
                false => vec![path],
            }
        })
        .collect()
}

/// Says where one of the words stands in code, other than in the allowed files.
pub fn mentions(sources: &[Source], words: &[&str], allowed: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| !allowed.contains(&source.path.as_str())) {
        for (number, line) in source.code() {
            found.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}:{number}: `{word}` in `{line}`", source.path)),
            );
        }
    }
    found
}

/// # Panics
/// There is something in the list.
pub fn assert_none(law: &str, found: &[String]) {
    assert!(found.is_empty(), "{law}\n{}", found.join("\n"));
}
