//! A photo from the camera.

use crate::components::FailureNotice;
use crate::engine::{self, Camera};
use crate::page::Page;
use fine_r1_web::protocol::Failure;
use leptos::{html, prelude::*, task::spawn_local};

/// A button that opens a dialog with the camera's picture.
#[component]
pub fn CameraButton() -> impl IntoView {
    let page = Page::here();
    let dialog = NodeRef::<html::Dialog>::new();
    let video = NodeRef::<html::Video>::new();
    let camera = StoredValue::new_local(None::<Camera>);
    let is_open = RwSignal::new(false);
    let is_on = RwSignal::new(false);
    let problem = RwSignal::new(None::<Failure>);

    let open = move |_| {
        let Some(dialog) = dialog.get_untracked() else { return };
        engine::open_dialog(&dialog);
        is_open.set(true);
        problem.set(None);
        spawn_local(async move {
            let opened = Camera::open().await;
            // Somebody may have closed the dialog instead of answering the browser's question, or the
            // whole part of the page may be gone.
            if is_open.try_get_untracked() != Some(true) {
                return;
            }
            match (opened, video.get_untracked()) {
                (Ok(opened), Some(video)) => {
                    opened.show_in(&video);
                    camera.set_value(Some(opened));
                    is_on.set(true);
                }
                (Ok(_), None) => {}
                (Err(failure), _) => problem.set(Some(failure)),
            }
        });
    };
    let close = move || {
        if let Some(dialog) = dialog.try_get_untracked().flatten() {
            dialog.close();
        }
    };
    // Also after the escape key.
    let closed = move |_| {
        is_open.set(false);
        is_on.set(false);
        camera.set_value(None);
    };
    let take = move |_| {
        let (Some(opened), Some(video)) =
            (camera.try_update_value(Option::take).flatten(), video.get_untracked())
        else {
            return;
        };
        spawn_local(async move {
            match opened.take(&video).await {
                Ok(picked) => {
                    page.take_photo(Ok(picked));
                    close();
                }
                Err(failure) => {
                    problem.try_set(Some(failure));
                    if is_open.try_get_untracked() == Some(true) {
                        camera.set_value(Some(opened));
                    }
                }
            }
        });
    };

    view! {
        <button type="button" on:click=open>
            "Use camera"
        </button>
        <dialog node_ref=dialog aria-labelledby="camera-title" class="camera" on:close=closed>
            <h2 id="camera-title">"Camera"</h2>
            <video
                node_ref=video
                class="finder"
                aria-label="What the camera sees"
                autoplay=true
                prop:muted=true
                prop:playsInline=true
            ></video>
            {move || {
                problem.get().map(|failure| view! { <FailureNotice title="No photo was taken" failure /> })
            }}
            <p class="actions">
                <button
                    type="button"
                    class="main-button"
                    disabled=move || !is_on.get()
                    on:click=take
                >
                    "Take photo"
                </button>
                <button type="button" on:click=move |_| close()>
                    "Close"
                </button>
            </p>
        </dialog>
    }
}
