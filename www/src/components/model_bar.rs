//! The model that is loaded and what runs it; behind it, the choice of another.

use crate::components::{DeviceBadge, ModelPicker};
use crate::figures::{count, size};
use crate::page::Page;
use leptos::prelude::*;

/// Name, size and device of the model.
#[component]
pub fn ModelBar() -> impl IntoView {
    let page = Page::here();
    let model = page.follow(|state| state.model().cloned());
    // The picker looks up sizes, so it is there only while it is seen.
    let is_open = RwSignal::new(false);
    view! {
        <section class="model-bar" aria-label="Model">
            {move || {
                model
                    .get()
                    .map(|model| {
                        let figures = format!(
                            "{} weights, {}",
                            count(model.parameters),
                            size(model.bytes),
                        );
                        view! {
                            <p class="device-line">
                                <strong class="model-name">{model.name}</strong>
                                <span class="particulars">{figures}</span>
                                <DeviceBadge device=model.device />
                            </p>
                        }
                    })
            }}
            <button
                type="button"
                class="quiet"
                aria-expanded=move || is_open.get().to_string()
                aria-controls="other-model"
                on:click=move |_| is_open.update(|is_open| *is_open = !*is_open)
            >
                "Change model or device"
            </button>
            <div id="other-model" class="other-model">
                <Show when=move || is_open.get()>
                    <ModelPicker />
                </Show>
            </div>
        </section>
    }
}
