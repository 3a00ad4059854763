//! How files are called and how they begin.

use crate::source::{all_sources, assert_none};

#[test]
fn no_file_is_called_after_nothing() {
    let empty_words = ["util", "utils", "common", "helper", "helpers", "base", "misc"];
    let found: Vec<String> = all_sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| path.split('/').any(|part| empty_words.contains(&part.trim_end_matches(".rs"))))
        .collect();
    assert_none("a file is called after what is in it", &found);
}

#[test]
fn a_file_opens_with_what_it_is() {
    let found: Vec<String> = all_sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.path)
        .collect();
    assert_none("a file opens with `//!`", &found);
}

/// Paths of somebody's machine help nobody else.
#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let homes = ["home", "root", "Users", "work", "mnt"].map(|folder| format!("\"/{folder}/"));
    let mut found = Vec::new();
    for source in all_sources() {
        for (index, line) in source.text.lines().enumerate() {
            if homes.iter().any(|home| line.contains(home.as_str())) {
                found.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    assert_none("no path of a machine", &found);
}
