//! The question, and names to choose among.

use crate::candidates;
use crate::page::Page;
use leptos::prelude::*;

/// What the model is asked, and the buttons that begin and end it.
#[component]
pub fn QuestionForm() -> impl IntoView {
    let page = Page::here();
    let is_busy = page.follow(|state| state.running().is_some());
    let names = Memo::new(move |_| page.candidates.with(|text| candidates::parse(text).len()));
    let is_ready = move || !is_busy.get() && page.photo.with(Option::is_some);
    view! {
        <form
            class="card question"
            aria-label="Question to the model"
            on:submit=move |event| {
                event.prevent_default();
                page.recognize();
            }
        >
            <div class="field">
                <label for="question">"Question"</label>
                <input
                    id="question"
                    type="text"
                    autocomplete="off"
                    placeholder="Which aircraft variant is this?"
                    prop:value=move || page.question.get()
                    on:input=move |event| page.question.set(event_target_value(&event))
                />
            </div>
            <div class="field">
                <label for="candidates">"Candidates"</label>
                <input
                    id="candidates"
                    type="text"
                    autocomplete="off"
                    spellcheck="false"
                    placeholder="A319, A320, 737-800"
                    aria-describedby="candidates-hint"
                    prop:value=move || page.candidates.get()
                    on:input=move |event| page.candidates.set(event_target_value(&event))
                />
                <p id="candidates-hint" class="hint">
                    {move || match names.get() {
                        0 => "Optional: names to choose among, with commas between them.".to_owned(),
                        1 => "One name. Give two or more, or none.".to_owned(),
                        number => format!("{number} names to choose among."),
                    }}
                </p>
            </div>
            <p class="actions">
                <button
                    type="submit"
                    class="main-button"
                    aria-disabled=move || (!is_ready()).to_string()
                >
                    "Recognize"
                </button>
                <button
                    type="button"
                    aria-disabled=move || (!is_busy.get()).to_string()
                    on:click=move |_| page.stop()
                >
                    "Stop"
                </button>
            </p>
        </form>
    }
}
