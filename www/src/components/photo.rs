//! The photo: chosen, dropped, pasted, fetched or taken.

use crate::components::{CameraButton, FailureNotice, PhotoUrl};
use crate::engine;
use crate::figures::size;
use crate::page::Page;
use crate::photo::ACCEPTED;
use leptos::prelude::*;

/// The photo and all ways to give one.
#[component]
pub fn PhotoPanel() -> impl IntoView {
    let page = Page::here();
    let preview = move || {
        page.photo.get().map(|photo| {
            let caption = format!("{}, {}", photo.name, size(photo.bytes));
            let description = format!("The photo {}", photo.name);
            view! {
                <span class="preview">
                    <img src=photo.file.url().to_owned() alt=description decoding="async" />
                </span>
                <span class="caption">{caption}</span>
            }
        })
    };
    view! {
        <section class="card photo" aria-labelledby="photo-title">
            <h2 id="photo-title">"Photo"</h2>
            <div class="drop" class:empty=move || page.photo.with(Option::is_none)>
                <input
                    id="photo"
                    type="file"
                    class="file"
                    aria-label="Photo"
                    aria-describedby="photo-hint"
                    accept=ACCEPTED
                    on:change=move |event| {
                        if let Some(picked) = engine::chosen(&event) {
                            page.take_photo(picked);
                        }
                    }
                />
                {preview}
                <label for="photo" class="drop-label">
                    {move || match page.photo.with(Option::is_some) {
                        true => "Choose another photo",
                        false => "Choose a photo",
                    }}
                </label>
                <p id="photo-hint" class="hint">"or drop one anywhere on the page, or paste one."</p>
            </div>
            {move || {
                page.photo_problem
                    .get()
                    .map(|failure| view! { <FailureNotice title="No new photo" failure /> })
            }}
            <div class="other-ways">
                <PhotoUrl />
                <CameraButton />
            </div>
        </section>
    }
}
