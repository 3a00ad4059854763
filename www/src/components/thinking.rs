//! The thought as it comes; it folds when the answer comes.

use crate::figures::rate;
use crate::page::Page;
use crate::state::State;
use leptos::{html, prelude::*};

/// A panel that unfolds while the model thinks.
#[component]
pub fn ThinkingPanel() -> impl IntoView {
    let page = Page::here();
    let thought = page.follow(|state: &State| state.thinking().to_owned());
    let is_thinking = page.follow(State::is_thinking);
    let pace = page.follow(|state: &State| match state {
        State::Recognizing { run, .. } => run.pieces_per_second().map(rate),
        _ => None,
    });

    // Folded and unfolded by the state, and by hand at any time.
    let details = NodeRef::<html::Details>::new();
    let is_open = RwSignal::new(is_thinking.get_untracked());
    Effect::new(move |_| is_open.set(is_thinking.get()));
    let turned = move |_| {
        if let Some(details) = details.get_untracked()
            && details.open() != is_open.get_untracked()
        {
            is_open.set(details.open());
        }
    };

    view! {
        <section class="card thinking" aria-labelledby="thinking-title">
            <details node_ref=details prop:open=move || is_open.get() on:toggle=turned>
                <summary>
                    <h2 id="thinking-title">"Thinking"</h2>
                    <span class="pace">
                        {move || pace.get().map(|pace| format!("about {pace} tokens per second"))}
                    </span>
                </summary>
                <div
                    class="thought"
                    class:streaming=move || is_thinking.get()
                    tabindex="0"
                    role="group"
                    aria-label="Text of the thought"
                >
                    <p class:faint=move || thought.with(String::is_empty)>
                        {move || match thought.with(String::is_empty) {
                            false => thought.get(),
                            true if is_thinking.get() => "Looking at the photo…".to_owned(),
                            true => "What the model thinks before it answers is told here.".to_owned(),
                        }}
                    </p>
                </div>
            </details>
        </section>
    }
}
