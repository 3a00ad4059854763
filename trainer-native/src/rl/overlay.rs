//! Settings laid over settings: what was typed over the file, the file over the objective's defaults.

use anyhow::{Result, bail};

/// Puts `table.key=value` into a table; a bare word stands for itself.
///
/// # Errors
/// There is no `=`, or the path leads through something that is no table.
pub fn set(table: &mut toml::Table, entry: &str) -> Result<()> {
    let Some((key, text)) = entry.split_once('=') else {
        bail!("--set {entry}: expected key=value\nhint: for example --set rollout.temperature=0.9");
    };
    let parsed = format!("value = {text}").parse::<toml::Table>().ok();
    let value = parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| text.into());
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut place = table;
    for part in parts {
        let inner = place.entry(part).or_insert_with(|| toml::Table::new().into());
        let Some(inner) = inner.as_table_mut() else {
            bail!("--set {entry}: `{part}` is no table\nhint: leave out what follows it");
        };
        place = inner;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

/// Lays one table over another; tables inside are laid over each other, everything else is replaced.
pub fn merge(below: &mut toml::Table, above: toml::Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_tables_are_set_by_their_path() {
        let mut table = toml::Table::new();
        for entry in ["a.b.c=1", "a.d=word", "e=[\"x\"]", "f=0.5"] {
            set(&mut table, entry).expect("an entry");
        }
        assert_eq!(table.to_string(), "e = [\"x\"]\nf = 0.5\n\n[a]\nd = \"word\"\n\n[a.b]\nc = 1\n");
        assert!(set(&mut table, "f.g=1").is_err() && set(&mut table, "nothing").is_err());
    }
}
