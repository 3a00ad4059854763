//! Entries of a recipe by their path, and how a recipe differs from the one that a run was begun with.

use crate::checkpoint::read_text;
use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a run's folder has of its settings.
pub const RECIPE: &str = "recipe.toml";

/// Everything in a table that is no table, by its path.
pub fn entries(table: toml::Table) -> BTreeMap<String, toml::Value> {
    let mut found = BTreeMap::new();
    collect(table, "", &mut found);
    found
}

fn collect(table: toml::Table, above: &str, found: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let path = if above.is_empty() { key } else { format!("{above}.{key}") };
        match value {
            toml::Value::Table(inner) => collect(inner, &path, found),
            value => {
                found.insert(path, value);
            }
        }
    }
}

/// Holds a recipe against the one that the run in a folder was begun with; gives what differs, an entry a line.
///
/// # Errors
/// The run's recipe cannot be read.
pub fn differences<R: Serialize + DeserializeOwned>(
    folder: &Path,
    recipe: &R,
    ignored: &[&str],
) -> Result<Vec<String>> {
    let path = folder.join(RECIPE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let Ok(before) = toml::from_str::<R>(&read_text(&path)?) else {
        return Ok(vec![format!("{} is no recipe any more: nothing can be compared", path.display())]);
    };
    let (before, now) = (entries(toml::Table::try_from(before)?), entries(toml::Table::try_from(recipe)?));
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |entries: &BTreeMap<String, toml::Value>, key: &String| {
        entries.get(key).map_or("absent".to_owned(), ToString::to_string)
    };
    Ok(keys
        .into_iter()
        // The folder is the one that is looked at, however it is spelled.
        .filter(|key| key.as_str() != "output_dir" && !ignored.contains(&key.as_str()))
        .filter(|key| before.get(*key) != now.get(*key))
        .map(|key| format!("{key} is {}, was {}", value(&now, key), value(&before, key)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_their_path() {
        let table: toml::Table = "e = 1\n[a]\nd = 2\n[a.b]\nc = 3\n".parse().expect("TOML");
        let found: Vec<String> =
            entries(table).into_iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(found, ["a.b.c=3", "a.d=2", "e=1"]);
    }
}
