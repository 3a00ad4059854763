//! Text files of columns with blanks between, as older data sets list their pictures.

use crate::checkpoint::read_text;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::Path;

/// Lines as their first word and the rest; comments and empty lines are left out.
///
/// # Errors
/// The file is missing, or a line has one word only.
pub fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((first, rest)) = line.split_once(char::is_whitespace) else {
            bail!(
                "{}:{}: `{line}` has one word, expected more\nhint: unpack the official archive anew",
                path.display(),
                index + 1
            );
        };
        lines.push((first.to_owned(), rest.trim().to_owned()));
    }
    Ok(lines)
}

/// The same as a map.
///
/// # Errors
/// As for [`read`].
pub fn read_map(path: &Path) -> Result<BTreeMap<String, String>> {
    Ok(read(path)?.into_iter().collect())
}
