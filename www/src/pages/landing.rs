//! Before any download: what this is, how large, where it runs.

use crate::components::{FailureNotice, ModelPicker};
use crate::page::Page;
use crate::problem::is_wish;
use crate::state::State;
use leptos::prelude::*;

/// The landing card.
#[component]
pub fn Landing() -> impl IntoView {
    let page = Page::here();
    let failure = page.follow(|state: &State| state.load_failure().cloned());
    view! {
        <div class="landing">
            <section class="pitch" aria-labelledby="pitch-title">
                <h2 id="pitch-title" class="hero">
                    "It looks closely, thinks aloud, and names what it sees."
                </h2>
                <p class="lead">
                    "Give it a photo. A small vision-language model describes what it notices, weighs the \
                     candidates against each other, and answers with one precise name. All of it happens \
                     inside this page."
                </p>
                <dl class="facts">
                    <div>
                        <dt>"What"</dt>
                        <dd>
                            "nano, a model to try things with: it knows 36 airliners from synthetic pictures, \
                             and it is often wrong. Larger models load from a URL."
                        </dd>
                    </div>
                    <div>
                        <dt>"Where"</dt>
                        <dd>
                            "On this device: on its graphics card where the browser offers WebGPU, else on its \
                             processor."
                        </dd>
                    </div>
                    <div>
                        <dt>"Privacy"</dt>
                        <dd>"Nothing leaves the device: no photo, no question, no answer."</dd>
                    </div>
                </dl>
            </section>
            <section class="card start" aria-labelledby="start-title">
                <h2 id="start-title">"Start"</h2>
                {move || {
                    failure
                        .get()
                        .map(|failure| {
                            let title = if is_wish(&failure) {
                                "Loading stopped"
                            } else {
                                "The model is not loaded"
                            };
                            view! { <FailureNotice title failure /> }
                        })
                }}
                <ModelPicker />
            </section>
        </div>
    }
}
