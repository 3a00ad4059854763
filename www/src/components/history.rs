//! Earlier answers of this visit.

use crate::page::{Page, Visit};
use crate::state::State;
use leptos::prelude::*;

/// The latest answers with their photos; a click brings one back.
#[component]
pub fn HistoryList() -> impl IntoView {
    let page = Page::here();
    let can_show = page.follow(State::can_show);
    let is_empty = Memo::new(move |_| page.history.with(Vec::is_empty));
    view! {
        <section class="history" aria-labelledby="history-title">
            <h2 id="history-title">"This visit"</h2>
            <Show
                when=move || !is_empty.get()
                fallback=|| view! { <p class="hint">"Answers are kept here until the page is closed."</p> }
            >
                <ul class="thumbnails" role="list" aria-label="History">
                    <For
                        each=move || page.history.get()
                        key=|visit| visit.id
                        children=move |visit| item(page, visit, can_show)
                    />
                </ul>
            </Show>
        </section>
    }
}

fn item(page: Page, visit: Visit, can_show: Memo<bool>) -> impl IntoView {
    let address = visit.photo.file.url().to_owned();
    let answer = match visit.record.outcome.answer.as_str() {
        "" => "No answer".to_owned(),
        answer => answer.to_owned(),
    };
    let photo = visit.photo.name.clone();
    view! {
        <li>
            <button
                type="button"
                class="thumbnail"
                aria-disabled=move || (!can_show.get()).to_string()
                on:click=move |_| page.show(&visit)
            >
                <img src=address alt="" decoding="async" loading="lazy" />
                <span>
                    {answer} <span class="visually-hidden">", photo " {photo}</span>
                </span>
            </button>
        </li>
    }
}
