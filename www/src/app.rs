//! The frame of the page: head, the way to a model, photo and answer, foot.

use crate::components::{ModelBar, StatusLine, StoredModels, ThemeToggle};
use crate::engine;
use crate::page::Page;
use crate::pages::{Landing, Loading, Workbench};
use crate::state::{Stage, State};
use leptos::{ev, html, prelude::*};

/// The whole page.
#[component]
pub fn App() -> impl IntoView {
    let page = Page::new();
    provide_context(page);
    page.look_into_storage();

    // Photos may be dropped and pasted anywhere.
    let is_dragging = RwSignal::new(false);
    window_event_listener(ev::paste, move |event| {
        if let Some(handed) = engine::pasted(&event) {
            page.take_handed(handed);
        }
    });
    window_event_listener(ev::dragover, move |event| {
        if engine::is_for_page(&event) {
            event.prevent_default();
            is_dragging.set(true);
        }
    });
    window_event_listener(ev::dragleave, move |event| {
        // Between two elements of the page it has not left.
        if event.related_target().is_none() {
            is_dragging.set(false);
        }
    });
    window_event_listener(ev::drop, move |event| {
        is_dragging.set(false);
        if !engine::is_for_page(&event) {
            return;
        }
        event.prevent_default();
        if let Some(handed) = engine::dropped(&event) {
            page.take_handed(handed);
        }
    });

    // What takes another's place at the top takes the keyboard from it, except at the beginning. Who works below
    // is left alone.
    let stage = page.follow(State::stage);
    let main = NodeRef::<html::Main>::new();
    let top = NodeRef::<html::Div>::new();
    Effect::new(move |before: Option<Stage>| {
        let stage = stage.get();
        if before.is_some_and(|before| before != stage)
            && let (Some(main), Some(top)) = (main.get_untracked(), top.get_untracked())
            && engine::holds_keyboard(&top)
        {
            engine::focus(&main);
        }
        stage
    });

    view! {
        <header class="head">
            <h1 class="brand">"Fine-R1"</h1>
            <StatusLine />
            <ThemeToggle />
        </header>
        <main id="main" tabindex="-1" node_ref=main class:dragging=move || is_dragging.get()>
            <div node_ref=top>
                {move || match stage.get() {
                    Stage::Landing => view! { <Landing /> }.into_any(),
                    Stage::Loading => view! { <Loading /> }.into_any(),
                    Stage::Loaded => view! { <ModelBar /> }.into_any(),
                }}
            </div>
            <Workbench />
            <StoredModels />
        </main>
        <footer class="foot">
            <p>"Photos, questions and answers stay on this device."</p>
            <p>
                {move || {
                    page.is_offline_ready
                        .get()
                        .then_some("This page now works without a connection, too.")
                }}
            </p>
        </footer>
    }
}
