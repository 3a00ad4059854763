//! While the model is on its way to the device.

use crate::components::DeviceBadge;
use crate::engine;
use crate::figures::{percent, size};
use crate::page::Page;
use crate::problem::sentence;
use crate::state::{State, phase_words};
use fine_r1_web::protocol::{DeviceReport, Progress};
use leptos::{html, prelude::*};

/// How far loading is, in all and for the file that is being worked on.
#[component]
pub fn Loading() -> impl IntoView {
    let page = Page::here();
    let progress = page.follow(progress_of);
    let device = page.follow(device_of);
    let is_awaited = page.follow(State::is_asked);
    let card = NodeRef::<html::Section>::new();
    Effect::new(move |_| {
        // Who asked further down would not see that something happens.
        if let Some(card) = card.get() {
            engine::reveal(&card);
        }
    });
    let read = move |part: fn(&Progress) -> f64| progress.with(|progress| progress.as_ref().map(part));
    let phase = move || {
        progress.with(|progress| match progress {
            Some(progress) => sentence(phase_words(&progress.phase, progress.from_storage)),
            None => "Looking for a device.".to_owned(),
        })
    };
    let amount = move || {
        progress.with(|progress| {
            progress.as_ref().filter(|progress| progress.total > 0.0).map(|progress| {
                let hundredths = percent(progress.bytes, progress.total);
                format!("{} of {} ({hundredths} %)", size(progress.bytes), size(progress.total))
            })
        })
    };
    let file = move || {
        progress.with(|progress| {
            progress.as_ref().filter(|progress| !progress.file.is_empty()).map(|progress| {
                format!("{}: {} of {}", progress.file, size(progress.file_bytes), size(progress.file_total))
            })
        })
    };
    view! {
        <section class="card loading" aria-labelledby="loading-title" node_ref=card>
            <h2 id="loading-title">"Loading the model"</h2>
            <p class="device-line">{move || device.get().map(|device| view! { <DeviceBadge device /> })}</p>
            <p class="phase">{phase}</p>
            <progress
                aria-label="All files"
                max=move || read(|progress| progress.total.max(1.0)).unwrap_or(1.0).to_string()
                value=move || read(|progress| progress.bytes).map(|bytes| bytes.to_string())
            ></progress>
            <p class="amount">{amount}</p>
            <progress
                class="thin"
                aria-label="This file"
                max=move || read(|progress| progress.file_total.max(1.0)).unwrap_or(1.0).to_string()
                value=move || read(|progress| progress.file_bytes).map(|bytes| bytes.to_string())
            ></progress>
            <p class="amount file">{file}</p>
            <p class="hint">
                "A model is downloaded once and kept in this browser; a cut download goes on where it stopped."
            </p>
            {move || {
                is_awaited
                    .get()
                    .then(|| view! { <p class="note">"The photo's turn comes as soon as the model is ready."</p> })
            }}
            <p class="actions">
                <button type="button" on:click=move |_| page.stop()>
                    "Cancel loading"
                </button>
            </p>
        </section>
    }
}

fn progress_of(state: &State) -> Option<Progress> {
    match state {
        State::Loading { progress, .. } => progress.clone(),
        _ => None,
    }
}

fn device_of(state: &State) -> Option<DeviceReport> {
    match state {
        State::Loading { device, .. } => device.clone(),
        _ => None,
    }
}
