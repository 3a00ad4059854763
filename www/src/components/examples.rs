//! Photos to try at once.

use crate::components::FailureNotice;
use crate::engine;
use crate::examples::{self, Example};
use crate::page::Page;
use crate::state::State;
use fine_r1_web::protocol::Failure;
use leptos::{prelude::*, task::spawn_local};

/// The example photos; one click chooses a photo and asks about it.
#[component]
pub fn ExampleList() -> impl IntoView {
    let page = Page::here();
    let list = RwSignal::new(None::<Result<Vec<Example>, Failure>>);
    spawn_local(async move {
        let text = engine::fetch_text(examples::LIST, "the list of example photos").await;
        list.try_set(Some(text.and_then(|text| examples::parse(&text))));
    });
    let is_asked = page.follow(State::is_asked);
    view! {
        <section class="card" aria-labelledby="examples-title">
            <h2 id="examples-title">"Or try one of these"</h2>
            {move || match list.get() {
                None => view! { <p class="hint">"Fetching the example photos…"</p> }.into_any(),
                Some(Err(failure)) => {
                    view! { <FailureNotice title="The example photos are missing" failure /> }.into_any()
                }
                Some(Ok(examples)) => {
                    let items = examples
                        .into_iter()
                        .map(|example| item(page, example, is_asked))
                        .collect_view();
                    view! {
                        <ul class="thumbnails" role="list" aria-label="Examples">
                            {items}
                        </ul>
                    }
                        .into_any()
                }
            }}
        </section>
    }
}

fn item(page: Page, example: Example, is_asked: Memo<bool>) -> impl IntoView {
    let (address, label) = (example.address(), example.label.clone());
    view! {
        <li>
            <button
                type="button"
                class="thumbnail"
                aria-disabled=move || is_asked.get().to_string()
                on:click=move |_| {
                    if !is_asked.get_untracked() {
                        page.try_example(example.clone());
                    }
                }
            >
                <img src=address alt="" decoding="async" loading="lazy" />
                <span>{label}</span>
            </button>
        </li>
    }
}
