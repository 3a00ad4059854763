//! The released evaluation files: `{image_path, question, options[4], ground_truth}`, a line each.

use crate::checkpoint::read_text;
use anyhow::{Context, Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One question about one photo.
#[derive(Debug, Clone)]
pub struct Row {
    /// The photo; relative paths are joined to the image root by [`read_rows`].
    pub image_path: PathBuf,
    /// What is asked, without options.
    pub question: String,
    /// The names to choose from, in the file's order until shuffled.
    pub options: Vec<String>,
    /// The true name.
    pub ground_truth: String,
}

/// As the file has it; some files carry two spellings of the same field.
#[derive(Deserialize)]
struct Line {
    image_path: Option<PathBuf>,
    image: Option<PathBuf>,
    #[serde(default)]
    question: String,
    #[serde(default)]
    options: Vec<String>,
    ground_truth: Option<String>,
    label: Option<String>,
}

/// Reads a file of rows; every photo must be there.
///
/// # Errors
/// The file or a photo is missing, or a line malformed; the message names file and line.
pub fn read_rows(path: &Path, image_root: Option<&Path>) -> Result<Vec<Row>> {
    let root = image_root.or(path.parent()).unwrap_or(Path::new(""));
    let mut rows = Vec::new();
    for (index, line) in read_text(path)?.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("{}:{}", path.display(), index + 1);
        let line: Line = serde_json::from_str(line).with_context(at)?;
        let (Some(image), Some(truth)) = (line.image_path.or(line.image), line.ground_truth.or(line.label))
        else {
            bail!("{}: no `image_path` or no `ground_truth`", at());
        };
        if !line.options.is_empty() && !line.options.contains(&truth) {
            bail!("{}: the true name `{truth}` is not among the options", at());
        }
        rows.push(Row {
            image_path: root.join(image),
            question: line.question,
            options: line.options,
            ground_truth: truth,
        });
    }
    let missing: Vec<String> = rows
        .iter()
        .filter(|row| !row.image_path.is_file())
        .map(|row| row.image_path.display().to_string())
        .collect();
    if let Some(first) = missing.first() {
        bail!(
            "{} of {} photos of {} are missing, the first is {first}\nhint: --image-root names the folder that paths \
             are relative to",
            missing.len(),
            rows.len(),
            path.display()
        );
    }
    if rows.is_empty() {
        bail!("{} has no rows", path.display());
    }
    Ok(rows)
}

impl Row {
    /// The options in an order that depends on the seed and the row's number alone.
    #[must_use]
    pub fn shuffled(&self, seed: u64, number: usize) -> Vec<String> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(number as u64);
        let mut options = self.options.clone();
        for last in (1..options.len()).rev() {
            options.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
        }
        options
    }

    /// Whether an answer is the true name, letter case aside.
    #[must_use]
    pub fn is_exact(&self, answer: &str) -> bool {
        answer.trim().to_lowercase() == self.ground_truth.to_lowercase()
    }

    /// The released rule: the true name is contained in the answer.
    #[must_use]
    pub fn is_substring(&self, answer: &str) -> bool {
        answer.to_lowercase().contains(&self.ground_truth.to_lowercase().replace('_', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            image_path: PathBuf::new(),
            question: String::new(),
            options: ["A320", "A319", "A321", "737-300"].map(str::to_owned).to_vec(),
            ground_truth: "A320".into(),
        }
    }

    #[test]
    fn a_seed_fixes_the_order_and_every_place_is_equally_likely() {
        let row = row();
        assert_eq!(row.shuffled(3, 5), row.shuffled(3, 5));
        let mut places = [0; 4];
        for number in 0..4000 {
            let place = row.shuffled(1, number).iter().position(|name| *name == row.ground_truth);
            places[place.expect("still among them")] += 1;
        }
        // Four standard deviations of a binomial count of 1000.
        assert!(places.iter().all(|count: &i32| (count - 1000).abs() < 110), "{places:?}");
    }

    #[test]
    fn exact_and_substring_differ_where_an_answer_lists_names() {
        let row = row();
        assert!(row.is_exact(" a320 ") && !row.is_exact("A320, A319"));
        assert!(row.is_substring("A319 or A320") && !row.is_substring("A319"));
    }
}
