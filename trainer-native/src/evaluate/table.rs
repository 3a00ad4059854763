//! The figures as a Markdown table.

use super::interval::Estimate;
use super::paired::Comparison;
use super::summary::{Line, Summary, Unit};
use std::fmt::Write;

/// A summary for people: a row a measure, a column a set, each with its 95 % interval.
#[must_use]
pub fn markdown(summary: &Summary) -> String {
    let averages = ["seen", "unseen", "all"];
    let columns = |line: &Line| -> Vec<Option<Estimate>> {
        let averages = [line.seen, line.unseen, line.all].into_iter();
        line.sets.iter().copied().chain(averages.filter(|_| summary.has_averages())).collect()
    };
    let mut text =
        format!("{} ({} prompt), percent of rows with 95 % interval\n\n| |", summary.model, summary.prompt);
    for set in &summary.sets {
        write!(text, " {} ({} rows) |", set.name, set.rows).expect("a string takes all");
    }
    if summary.has_averages() {
        for average in averages {
            write!(text, " {average} |").expect("a string takes all");
        }
    }
    let count = summary.sets.len() + if summary.has_averages() { averages.len() } else { 0 };
    writeln!(text, "\n|---|{}", "---|".repeat(count)).expect("a string takes all");
    for line in &summary.lines {
        write!(text, "| {} |", line.title).expect("a string takes all");
        for cell in columns(line) {
            write!(text, " {} |", cell.map_or("-".to_owned(), |cell| show(&cell, line.unit)))
                .expect("a string takes all");
        }
        text.push('\n');
    }
    writeln!(text, "\n{}", terms(summary)).expect("a string takes all");
    if summary.answered < summary.asked {
        writeln!(text, "\nUnfinished: {} of {} questions are answered.", summary.answered, summary.asked)
            .expect("a string takes all");
    }
    text
}

/// Under which terms the figures hold: seed, decoding, and what similarity was measured with.
#[must_use]
pub fn terms(summary: &Summary) -> String {
    let mut text = format!("Seed {}", summary.seed);
    if summary.max_new_tokens > 0 {
        let how = match summary.samples {
            1 => "one answer to every question, the likeliest tokens".to_owned(),
            samples => format!(
                "{samples} answers to every question, temperature {}, top-p {}",
                summary.temperature, summary.top_p
            ),
        };
        let (penalty, most) = (summary.repetition_penalty, summary.max_new_tokens);
        write!(text, "; {how}, repetition penalty {penalty}, at most {most} tokens")
            .expect("a string takes all");
    }
    if let Some(embedder) = &summary.embedder {
        write!(text, "; similarity by {embedder}").expect("a string takes all");
    }
    if !summary.categories.is_empty() {
        let words: Vec<String> =
            summary.categories.iter().map(|(set, word)| format!("{set}: {word}")).collect();
        write!(text, "; super-category words: {}", words.join(", ")).expect("a string takes all");
    }
    text + "."
}

/// `40.6 % [35.1, 46.2]`
#[must_use]
pub fn show(estimate: &Estimate, unit: Unit) -> String {
    let Estimate { value, low, high, .. } = estimate;
    match unit {
        Unit::Share => format!("{:.1} % [{:.1}, {:.1}]", 100.0 * value, 100.0 * low, 100.0 * high),
        Unit::Tokens => format!("{value:.1} [{low:.1}, {high:.1}]"),
    }
}

/// Comparisons of two models for people.
#[must_use]
pub fn comparison(names: [&str; 2], comparisons: &[Comparison]) -> String {
    let mut text = format!(
        "A: {}\nB: {}\nExact answers; the difference with its 95 % interval, and McNemar's exact test.\n\n\
         | set | images | A | B | B less A | A alone | B alone | p |\n|---|---|---|---|---|---|---|---|\n",
        names[0], names[1]
    );
    for found in comparisons {
        let (title, points) = (found.variant.title(found.task), |share: f64| 100.0 * share);
        let difference = &found.difference;
        writeln!(
            text,
            "| {}, {}{title}{} | {} | {:.1} % | {:.1} % | {:+.1} [{:+.1}, {:+.1}] | {} | {} | {} |",
            found.set,
            found.task.title(),
            if found.asked_alike { "" } else { " (asked differently)" },
            found.images,
            points(found.right[0]),
            points(found.right[1]),
            points(difference.value),
            points(difference.low),
            points(difference.high),
            found.only[0],
            found.only[1],
            if found.p_value < 1e-4 { "< 0.0001".to_owned() } else { format!("{:.4}", found.p_value) },
        )
        .expect("a string takes all");
    }
    text
}

impl Summary {
    /// Whether there are splits to average over.
    #[must_use]
    pub fn has_averages(&self) -> bool {
        self.lines.iter().any(|line| line.seen.is_some() || line.unseen.is_some())
    }
}
