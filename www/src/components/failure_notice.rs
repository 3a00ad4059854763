//! What happened, and what to do.

use crate::problem::{is_wish, sentence};
use fine_r1_web::protocol::Failure;
use leptos::prelude::*;

/// A failure in words. It is told by the status line, so this is silent.
#[component]
pub fn FailureNotice(
    /// What did not come about.
    title: &'static str,
    /// Why, and what to do.
    failure: Failure,
) -> impl IntoView {
    let class = if is_wish(&failure) { "notice" } else { "notice failed" };
    let hint = sentence(&failure.hint);
    view! {
        <div class=class>
            <p class="notice-title">{title}</p>
            {(!is_wish(&failure)).then(|| view! { <p>{sentence(&failure.message)}</p> })}
            {(!hint.is_empty()).then(|| view! { <p class="remedy">{hint}</p> })}
        </div>
    }
}
