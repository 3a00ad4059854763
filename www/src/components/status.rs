//! The line that tells what happens, also to who listens.

use crate::page::Page;
use leptos::prelude::*;

/// A live region; it is there before anything happens, so that it is heard.
#[component]
pub fn StatusLine() -> impl IntoView {
    let page = Page::here();
    let is_busy = page.follow(|state| state.running().is_some());
    view! {
        <p role="status" aria-label="Status" class="status" class:busy=move || is_busy.get()>
            {move || page.status.get()}
        </p>
    }
}
