//! The published tables, printed beside one's own results on request.

use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// The file with the figures.
const FILE: &str = include_str!("published.toml");

/// All tables and where they are from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Paper and tables.
    pub source: String,
    /// Data sets in the order of the figures.
    pub datasets: Vec<String>,
    /// One model in one table.
    pub rows: Vec<PublishedRow>,
}

/// One model in one table, in percent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRow {
    /// Which table.
    pub table: Table,
    /// As the paper calls it.
    pub model: String,
    /// By data set.
    pub seen: [f64; 6],
    /// By data set.
    pub unseen: [f64; 6],
    /// Seen, unseen, and the mean of both, as printed.
    pub averages: [f64; 3],
}

/// A table of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Table 1: accuracy among four options.
    Closed,
    /// Table 2: relative semantic similarity.
    Similarity,
    /// Table 6: text inclusion.
    Inclusion,
}

impl Table {
    const ALL: [Self; 3] = [Self::Closed, Self::Similarity, Self::Inclusion];

    fn title(self) -> &'static str {
        match self {
            Self::Closed => "closed world, accuracy (table 1; order of options unknown)",
            Self::Similarity => "open world, relative semantic similarity (table 2)",
            Self::Inclusion => "open world, text inclusion (table 6)",
        }
    }
}

impl Published {
    /// Reads the file.
    ///
    /// # Panics
    /// Never: a test reads it.
    #[must_use]
    pub fn read() -> Self {
        toml::from_str(FILE).expect("the file of published tables is sound")
    }

    /// As Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("Published figures, in percent. Source: {}.\n", self.source);
        for table in Table::ALL {
            write!(text, "\n{}\n\n| |", table.title()).expect("a string takes all");
            for split in ["seen", "unseen"] {
                for dataset in &self.datasets {
                    write!(text, " {dataset} {split} |").expect("a string takes all");
                }
            }
            text.push_str(" seen | unseen | all |\n|---|");
            text.push_str(&"---:|".repeat(2 * self.datasets.len() + 3));
            text.push('\n');
            for row in self.rows.iter().filter(|row| row.table == table) {
                write!(text, "| {} |", row.model).expect("a string takes all");
                for figure in row.seen.iter().chain(&row.unseen).chain(&row.averages) {
                    write!(text, " {figure:.2} |").expect("a string takes all");
                }
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against slips in copying: the paper's own averages follow from its figures.
    #[test]
    fn averages_follow_from_the_figures() {
        let published = Published::read();
        assert_eq!(published.rows.len(), ROWS);
        for row in &published.rows {
            let mean = |figures: &[f64; 6]| figures.iter().sum::<f64>() / 6.0;
            let (seen, unseen) = (mean(&row.seen), mean(&row.unseen));
            for (found, printed) in [seen, unseen, f64::midpoint(seen, unseen)].iter().zip(row.averages) {
                // Two decimals, rounded once or twice.
                assert!((found - printed).abs() < 0.011, "{row:?}: {found}");
            }
        }
    }

    /// Eighteen models in the closed world, fourteen less CLIP's kind in the two open tables.
    const ROWS: usize = 18 + 14 + 14;

    #[test]
    fn a_table_has_its_source_and_every_model() {
        let text = Published::read().markdown();
        assert!(
            text.contains("arxiv.org/abs/2602.07605") && text.matches("| Fine-R1-7B |").count() == 3,
            "{text}"
        );
    }
}
