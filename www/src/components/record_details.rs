//! All about a complete answer, below it.

use crate::components::{ConsideredList, UsageFigures};
use crate::page::Page;
use crate::state::Record;
use leptos::prelude::*;
use std::sync::Arc;

/// Notes, candidates, figures, and ways to take the answer along.
#[component]
pub fn RecordDetails(
    /// Question and answer.
    record: Arc<Record>,
) -> impl IntoView {
    let page = Page::here();
    let [copied, saved] = [record.clone(), record.clone()];
    let about = match record.asked.question.as_str() {
        "" => format!("{} about {}.", record.model.name, record.asked.photo_name),
        question => format!("{} about {}: {question}", record.model.name, record.asked.photo_name),
    };
    let label = record.asked.label.as_ref().map(|label| format!("The example's own label is {label}."));
    let notes =
        [label].into_iter().flatten().chain(notes(&record)).map(|note| view! { <p class="note">{note}</p> });
    let notes = notes.collect_view();
    view! {
        <p class="about">{about}</p>
        {notes}
        <ConsideredList record=record.clone() />
        <UsageFigures usage=record.outcome.usage.clone() />
        <p class="actions">
            <button type="button" on:click=move |_| page.copy(&copied)>
                "Copy"
            </button>
            <button type="button" on:click=move |_| page.save(&saved)>
                "Save as JSON"
            </button>
        </p>
    }
}

/// What one should know about how the answer came to its end.
fn notes(record: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    match record.outcome.stop_reason.as_str() {
        "length" => notes.push("The answer reached its length limit and was cut there."),
        "contextFull" => notes.push("The model's context was full, and the answer was cut there."),
        _ => {}
    }
    if !record.outcome.well_formed {
        notes.push("The model did not keep to its form, so thought and answer may be mixed up.");
    }
    notes.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fine_r1_web::protocol::Outcome;

    #[test]
    fn odd_endings_are_told() {
        let record = |stop: &str, well_formed| Record {
            outcome: Outcome { stop_reason: stop.into(), well_formed, ..Outcome::default() },
            ..Record::default()
        };
        assert!(notes(&record("endToken", true)).is_empty());
        assert!(notes(&record("length", true))[0].contains("length limit"));
        assert_eq!(notes(&record("contextFull", false)).len(), 2);
    }
}
