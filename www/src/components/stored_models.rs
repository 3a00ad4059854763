//! What the browser's storage holds.

use crate::components::FailureNotice;
use crate::engine;
use crate::figures::size;
use crate::model_source::is_whole;
use crate::page::{Page, Stored};
use fine_r1_web::protocol::StoredModel;
use leptos::{html, prelude::*};

/// The stored models with their sizes, each to delete.
#[component]
pub fn StoredModels() -> impl IntoView {
    let page = Page::here();
    // A deleted model takes its button with it; the keyboard stays close by.
    let title = NodeRef::<html::H2>::new();
    Effect::new(move |before: Option<usize>| {
        let count = page.stored.with(|stored| match stored {
            Stored::Known(models) => models.len(),
            _ => 0,
        });
        if before.is_some_and(|before| before > count)
            && let Some(title) = title.get_untracked()
        {
            engine::focus(&title);
        }
        count
    });
    view! {
        <section class="stored" aria-labelledby="stored-title">
            <h2 id="stored-title" tabindex="-1" node_ref=title>"Stored models"</h2>
            {move || match page.stored.get() {
                Stored::Unseen => view! { <p class="hint">"No model was loaded here yet."</p> }.into_any(),
                Stored::Looking => view! { <p class="hint">"Looking into the browser's storage…"</p> }.into_any(),
                Stored::Failed(failure) => {
                    view! { <FailureNotice title="The browser's storage cannot be read" failure /> }.into_any()
                }
                Stored::Known(models) if models.is_empty() => {
                    view! { <p class="hint">"This browser holds no model."</p> }.into_any()
                }
                Stored::Known(models) => {
                    let items = models.into_iter().map(|model| item(page, model)).collect_view();
                    view! { <ul class="stored-list" role="list">{items}</ul> }.into_any()
                }
            }}
        </section>
    }
}

fn item(page: Page, model: StoredModel) -> impl IntoView {
    let amount = match is_whole(&model) {
        true => size(model.bytes),
        false => format!(
            "{} of {}, the rest is downloaded when it is loaded",
            size(model.bytes),
            size(model.total)
        ),
    };
    let label = format!("Delete {}", model.name);
    let (name, base_url) = (model.name.clone(), model.base_url.clone());
    view! {
        <li>
            <p>
                <strong>{name}</strong>
                " "
                <span class="particulars">{amount}</span>
                <span class="address">{base_url}</span>
            </p>
            <button
                type="button"
                class="quiet"
                aria-label=label
                on:click=move |_| page.delete_stored(&model)
            >
                "Delete"
            </button>
        </li>
    }
}
