//! The nearest other class of every class: by features, by names, or by a table.

use super::features::features;
use crate::checkpoint::read_text;
use crate::cli::TripletsArgs;
use crate::dataset::{ImagesByClass, LabelledImage, nearest_by, nearest_by_features};
use crate::rl::name_likeness;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Lists of neighbours of an entry of a table, the first asked first: those among all classes, and those among the
/// ones that are trained on.
const LISTS: [&str; 2] = ["nearest", "nearest_seen"];

const TABLE_HINT: &str = "a table looks like {\"A319\": [\"A320\", \"A321\"], …}, the nearest first";

/// The nearest other class of every class, and how near it is.
///
/// # Errors
/// Pictures, checkpoint, or table.
pub fn nearest_classes(
    arguments: &TripletsArgs,
    pictures: &[LabelledImage],
    shots: &ImagesByClass,
) -> Result<BTreeMap<String, (String, f64)>> {
    match arguments.nearest.as_str() {
        "features" => Ok(nearest_by_features(shots, &features(arguments, pictures, shots)?)),
        "names" => Ok(nearest_by(shots, |left, right| name_likeness(left, right))),
        path => {
            let path = Path::new(path);
            let table: Value = serde_json::from_str(&read_text(path)?)
                .with_context(|| format!("{} is no JSON\nhint: {TABLE_HINT}", path.display()))?;
            by_table(&table, path, shots)
        }
    }
}

/// Neighbours from a table: `{"class": ["nearest", …]}`, or a list of `{"name", "nearest": […]}`, perhaps with
/// `"nearest_seen": […]`. The first that the rows have counts.
fn by_table(table: &Value, path: &Path, shots: &ImagesByClass) -> Result<BTreeMap<String, (String, f64)>> {
    let names = |value: &Value| -> Vec<String> {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let neighbours: BTreeMap<String, Vec<String>> = match table {
        Value::Object(entries) => {
            entries.iter().map(|(label, value)| (label.clone(), names(value))).collect()
        }
        Value::Array(entries) => entries
            .iter()
            .filter_map(|entry| {
                let all = LISTS.iter().flat_map(|list| names(&entry[*list])).collect();
                Some((entry["name"].as_str()?.to_owned(), all))
            })
            .collect(),
        _ => BTreeMap::new(),
    };
    let mut nearest = BTreeMap::new();
    for label in shots.keys() {
        let found = neighbours
            .get(label)
            .and_then(|names| names.iter().position(|name| name != label && shots.contains_key(name)));
        let Some(place) = found else {
            bail!("{} has no neighbour of `{label}` that the rows have\nhint: {TABLE_HINT}", path.display());
        };
        // The farther down the list, the less alike.
        nearest.insert(label.clone(), (neighbours[label][place].clone(), 1.0 / (1.0 + place as f64)));
    }
    Ok(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_neighbour_that_the_rows_have_counts_of_both_lists_in_turn() {
        let shots: ImagesByClass = ["a", "b", "c"].map(|label| (label.to_owned(), vec![0])).into();
        let table = json!([
            { "name": "a", "nearest": ["x", "c"], "nearest_seen": ["b"] },
            { "name": "b", "nearest": ["x", "y"], "nearest_seen": ["z", "c", "a"] },
            { "name": "c", "nearest_seen": ["a"] },
        ]);
        let nearest = by_table(&table, Path::new("t"), &shots).expect("neighbours");
        assert_eq!(nearest["a"], ("c".to_owned(), 0.5));
        assert_eq!(nearest["b"], ("c".to_owned(), 0.25));
        assert_eq!(nearest["c"], ("a".to_owned(), 1.0));
        let error = by_table(&json!([{ "name": "a", "nearest": ["x", "a"] }]), Path::new("t"), &shots);
        assert!(error.unwrap_err().to_string().contains("no neighbour of `a`"));
    }
}
