//! How large the chosen model is, before it is downloaded.

use crate::engine;
use crate::figures::size;
use crate::model_source::stored_whole;
use crate::page::{Page, Size, Stored};
use crate::problem::sentence;
use leptos::prelude::*;

/// A line about the size of the download, or that there will be none.
#[component]
pub fn ModelSizeLine() -> impl IntoView {
    let page = Page::here();
    let stored_bytes = Memo::new(move |_| {
        let address = page.source.get().address(&page.model_url.get()).ok()?;
        let base_url = engine::folder_url(&address).ok()?;
        page.stored.with(|stored| match stored {
            Stored::Known(models) => stored_whole(models, &base_url).map(|model| model.bytes),
            _ => None,
        })
    });
    move || {
        if let Some(bytes) = stored_bytes.get() {
            let text = format!("Already on this device ({}): nothing to download.", size(bytes));
            return view! { <p class="model-size">{text}</p> }.into_any();
        }
        match page.size.get() {
            Size::Unknown => {
                view! { <p class="model-size">"Its size shows once a URL is given."</p> }.into_any()
            }
            Size::Looking => view! { <p class="model-size">"Looking up its size…"</p> }.into_any(),
            Size::Known(model) => {
                let text = format!(
                    "{}: {} in {} files, downloaded once and kept in this browser.",
                    model.name,
                    size(model.bytes),
                    model.files
                );
                view! { <p class="model-size">{text}</p> }.into_any()
            }
            Size::Failed(failure) => {
                let text =
                    format!("Size unknown: {} {}", sentence(&failure.message), sentence(&failure.hint));
                view! { <p class="model-size failed">{text}</p> }.into_any()
            }
        }
    }
}
