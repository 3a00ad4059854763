//! Liveries: what a row's picture is painted like, and some that are put aside to measure how well a
//! tower knows an aircraft in paint that it never saw.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Of the liveries of a variant, in the order of their names, every eighth.
const EVERY: usize = 8;
/// The field of a row that says its livery.
const CONFOUNDER: &str = "livery";

/// Splits the data set `name`, as `cot` wrote it, into itself and `<name>-held-out`, and gives every row
/// its livery as confounder: most airlines fly few of the variants.
///
/// # Errors
/// A file cannot be read or written, or an image's path says no variant and livery.
pub fn hold_out(data: &Path, name: &str) -> Result<()> {
    let held_out = format!("{name}-held-out");
    let index = data.join("dataset_info.json");
    let mut sets: Value = read(&index)?;
    let rows: Vec<Value> = read(&data.join(format!("{name}.json")))?;
    let keys = rows.iter().map(livery).collect::<Option<Vec<_>>>().context("a row without livery")?;
    let chosen = choose(keys.iter().copied());
    let is_chosen = |(variant, livery): &(&str, &str)| chosen.contains(&(*variant, *livery));
    for (file, wanted) in [(&held_out, true), (&name.to_owned(), false)] {
        let kept: Vec<String> = rows
            .iter()
            .zip(&keys)
            .filter(|(_, key)| is_chosen(key) == wanted)
            .map(|(row, (_, livery))| {
                let mut row = row.clone();
                row[CONFOUNDER] = json!(livery);
                row.to_string()
            })
            .collect();
        fs::write(data.join(format!("{file}.json")), format!("[\n{}\n]\n", kept.join(",\n")))?;
    }
    sets[name]["columns"]["confounder"] = json!(CONFOUNDER);
    sets[&held_out] = sets[name].clone();
    sets[&held_out]["file_name"] = json!(format!("{held_out}.json"));
    fs::write(index, serde_json::to_string_pretty(&sets)? + "\n")?;
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// Variant and livery of a row's image: `…/<variant>/<livery>-<number>.jpg`.
fn livery(row: &Value) -> Option<(&str, &str)> {
    let (folder, file) = row["images"][0].as_str()?.rsplit_once('/')?;
    let variant = folder.rsplit('/').next()?;
    Some((variant, file.rsplit_once('-')?.0))
}

fn choose<'row>(liveries: impl Iterator<Item = (&'row str, &'row str)>) -> BTreeSet<(&'row str, &'row str)> {
    let mut of_variants: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (variant, livery) in liveries {
        of_variants.entry(variant).or_default().insert(livery);
    }
    let every = |(variant, liveries): (&'row str, BTreeSet<&'row str>)| {
        liveries.into_iter().skip(EVERY - 1).step_by(EVERY).map(move |livery| (variant, livery))
    };
    of_variants.into_iter().flat_map(every).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_livery_is_held_out_as_a_whole() {
        let scratch = tempfile::tempdir().expect("a temporary folder");
        let data = scratch.path();
        let rows: Vec<Value> = (0..40)
            .map(|number| json!({ "images": [format!("x/a320/air-{:02}-{}.jpg", number / 2, number % 2)] }))
            .collect();
        fs::write(data.join("names.json"), json!(rows).to_string()).expect("room");
        let sets = json!({ "names": { "file_name": "names.json", "formatting": "sharegpt" } });
        fs::write(data.join("dataset_info.json"), sets.to_string()).expect("room");
        hold_out(data, "names").expect("split");
        let count = |file: &str| read::<Vec<Value>>(&data.join(file)).expect("rows").len();
        assert_eq!((count("names.json"), count("names-held-out.json")), (36, 4));
        let held: Vec<Value> = read(&data.join("names-held-out.json")).expect("rows");
        assert!(
            held.iter().all(|row| matches!(livery(row), Some(("a320", "air-07" | "air-15")))),
            "{held:?}"
        );
        let sets: Value = read(&data.join("dataset_info.json")).expect("an index");
        assert_eq!(
            sets["names-held-out"],
            json!({
                "file_name": "names-held-out.json",
                "formatting": "sharegpt",
                "columns": { "confounder": "livery" },
            })
        );
        assert_eq!(held[0]["livery"], "air-07");
    }
}
