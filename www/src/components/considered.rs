//! The candidates behind an answer.

use crate::candidates::considered;
use crate::state::Record;
use leptos::prelude::*;
use std::sync::Arc;

/// Those that were given, or that the thought weighs; the answer is marked.
#[component]
pub fn ConsideredList(
    /// Question and answer.
    record: Arc<Record>,
) -> impl IntoView {
    let outcome = &record.outcome;
    let names = considered(&record.asked.candidates, &outcome.thinking, &outcome.answer);
    let is_outside = !names.is_empty() && names.iter().all(|name| !name.is_answer);
    (!names.is_empty()).then(|| {
        let items = names
            .into_iter()
            .map(|name| {
                view! {
                    <li class:chosen=name.is_answer>
                        {name.name}
                        {name.is_answer.then(|| view! { <span class="visually-hidden">", the answer"</span> })}
                    </li>
                }
            })
            .collect_view();
        view! {
            <h3 id="considered-title">"Candidates considered"</h3>
            <ul class="considered" role="list" aria-labelledby="considered-title">
                {items}
            </ul>
            {is_outside.then(|| view! { <p class="note">"The answer is none of them."</p> })}
        }
    })
}
