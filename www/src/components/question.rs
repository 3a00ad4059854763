//! The question, and names to choose among.

use crate::candidates;
use crate::page::Page;
use crate::problem::sentence;
use crate::state::State;
use leptos::prelude::*;

/// What the model is asked, and the buttons that begin and end it.
#[component]
pub fn QuestionForm() -> impl IntoView {
    let page = Page::here();
    let is_asked = page.follow(State::is_asked);
    let is_running = page.follow(|state: &State| state.running().is_some());
    let loads_first = page.follow(|state: &State| state.needs_model() && state.running().is_none());
    let names = Memo::new(move |_| page.candidates.with(|text| candidates::parse(text)));
    let problem = Memo::new(move |_| names.with(|names| candidates::check(names).err()));
    let is_ready =
        move || !is_asked.get() && page.photo.with(Option::is_some) && problem.with(Option::is_none);
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
                    aria-invalid=move || problem.with(Option::is_some).to_string()
                    prop:value=move || page.candidates.get()
                    on:input=move |event| page.candidates.set(event_target_value(&event))
                />
                <p id="candidates-hint" class="hint">
                    {move || match (problem.get(), names.with(Vec::len)) {
                        (Some(failure), _) => {
                            format!("{} {}", sentence(&failure.message), sentence(&failure.hint))
                        }
                        (None, 0) => "Optional: names to choose among, with commas between them.".to_owned(),
                        (None, number) => format!("{number} names to choose among."),
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
                    aria-disabled=move || (!is_running.get()).to_string()
                    on:click=move |_| page.stop()
                >
                    "Stop"
                </button>
            </p>
            {move || {
                loads_first
                    .get()
                    .then(|| view! { <p class="hint">"Recognize loads the model first."</p> })
            }}
        </form>
    }
}
