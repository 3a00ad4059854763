//! A photo from the web.

use crate::page::Page;
use leptos::prelude::*;

/// A field for a photo's address.
#[component]
pub fn PhotoUrl() -> impl IntoView {
    let page = Page::here();
    let address = RwSignal::new(String::new());
    view! {
        <form
            class="photo-url"
            on:submit=move |event| {
                event.prevent_default();
                page.fetch_photo(&address.get_untracked());
            }
        >
            <label for="photo-url">"Photo URL"</label>
            <div class="joined">
                <input
                    id="photo-url"
                    type="text"
                    inputmode="url"
                    autocomplete="off"
                    autocapitalize="off"
                    spellcheck="false"
                    placeholder="https://…"
                    prop:value=move || address.get()
                    on:input=move |event| address.set(event_target_value(&event))
                />
                <button type="submit">"Fetch"</button>
            </div>
        </form>
    }
}
