//! How fast an answer came.

use crate::figures::{rate, seconds};
use fine_r1_web::protocol::Usage;
use leptos::prelude::*;

/// Pace, time to the first token, and counts.
#[component]
pub fn UsageFigures(
    /// Counts and times.
    usage: Usage,
) -> impl IntoView {
    let figures = [
        ("Tokens per second", rate(usage.tokens_per_second)),
        ("Time to first token", seconds(usage.time_to_first_token_secs)),
        ("Tokens of the answer", usage.new_tokens.to_string()),
        ("Tokens of the question", usage.prompt_tokens.to_string()),
    ];
    let items = figures.map(|(name, figure)| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{figure}</dd>
            </div>
        }
    });
    view! { <dl class="usage">{items.into_iter().collect_view()}</dl> }
}
