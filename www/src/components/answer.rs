//! The answer, large.

use crate::components::{FailureNotice, RecordDetails};
use crate::engine;
use crate::page::Page;
use crate::problem::{is_wish, needs_load};
use crate::state::State;
use leptos::{html, prelude::*};

/// Letters beyond which an answer is a text and no name.
const LONGEST_NAME: usize = 60;

/// The answer as it comes, and all about it once it is complete.
#[component]
pub fn AnswerPanel() -> impl IntoView {
    let page = Page::here();
    let answer = page.follow(|state: &State| state.answer().trim().to_owned());
    let record = page.follow(|state: &State| state.record().cloned());
    let failure = page.follow(|state: &State| state.answer_failure().cloned());
    let is_asked = page.follow(State::is_asked);
    let is_recognizing = page.follow(|state: &State| matches!(state, State::Recognizing { .. }));
    let words = move || match answer.with(String::is_empty) {
        false => answer.get(),
        true if is_asked.get() => "…".to_owned(),
        true if record.with(Option::is_some) => "No answer".to_owned(),
        true if failure.with(Option::is_some) => "–".to_owned(),
        true => "It will stand here.".to_owned(),
    };
    let is_empty = move || answer.with(String::is_empty);
    let is_long = move || answer.with(|answer| answer.chars().nth(LONGEST_NAME).is_some());

    let panel = NodeRef::<html::Section>::new();
    Effect::new(move |_| {
        // Below the fold of a phone nobody would see that something happens.
        if is_recognizing.get()
            && let Some(panel) = panel.get_untracked()
        {
            engine::reveal(&panel);
        }
    });

    view! {
        <section
            class="card answer"
            aria-labelledby="answer-title"
            node_ref=panel
            class:waiting=move || is_asked.get() && is_empty()
        >
            <h2 id="answer-title">"Answer"</h2>
            <p class="answer-text" class:faint=is_empty class:long=is_long>
                {words}
            </p>
            {move || {
                failure
                    .get()
                    .map(|failure| {
                        let title = if is_wish(&failure) { "Stopped" } else { "There is no answer" };
                        let has_gone = needs_load(&failure);
                        view! {
                            <FailureNotice title failure />
                            {has_gone
                                .then(|| {
                                    view! {
                                        <p class="actions">
                                            <button type="button" on:click=move |_| page.load_again()>
                                                "Load the model again"
                                            </button>
                                        </p>
                                    }
                                })}
                        }
                    })
            }}
            {move || record.get().map(|record| view! { <RecordDetails record /> })}
        </section>
    }
}
