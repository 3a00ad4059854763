//! Which model, and where it shall run.

use crate::components::ModelSizeLine;
use crate::model_source::ModelSource;
use crate::page::Page;
use fine_r1_web::protocol::DeviceChoice;
use leptos::prelude::*;

/// The choice of model and device, and the button that loads it.
#[component]
pub fn ModelPicker() -> impl IntoView {
    let page = Page::here();
    page.look_up_size();
    let is_url = move || page.source.get() == ModelSource::Url;
    let device = page.device.get_untracked();
    let source = page.source.get_untracked();
    view! {
        <form
            class="picker"
            on:submit=move |event| {
                event.prevent_default();
                page.load();
            }
        >
            <div class="field">
                <label for="model">"Model"</label>
                <select
                    id="model"
                    on:change=move |event| {
                        page.source.set(ModelSource::from_value(&event_target_value(&event)));
                        page.look_up_size();
                    }
                >
                    <option value="nano" selected=source == ModelSource::Nano>
                        "nano, beside this page"
                    </option>
                    <option value="url" selected=source == ModelSource::Url>
                        "A model folder at a URL"
                    </option>
                </select>
            </div>
            <Show when=is_url>
                <div class="field">
                    <label for="model-url">"Model URL"</label>
                    <input
                        id="model-url"
                        type="text"
                        inputmode="url"
                        autocomplete="off"
                        autocapitalize="off"
                        spellcheck="false"
                        placeholder="https://example.org/models/my-model/"
                        aria-describedby="model-url-hint"
                        prop:value=move || page.model_url.get()
                        on:input=move |event| page.model_url.set(event_target_value(&event))
                        on:change=move |_| page.look_up_size()
                    />
                    <p id="model-url-hint" class="hint">
                        "A folder with a manifest.json, the checkpoint's JSON files and its weights."
                    </p>
                </div>
            </Show>
            <div class="field">
                <label for="device">"Device"</label>
                <select
                    id="device"
                    on:change=move |event| page.device.set(choice(&event_target_value(&event)))
                >
                    <option value="auto" selected=device == DeviceChoice::Auto>
                        "Automatic"
                    </option>
                    <option value="webgpu" selected=device == DeviceChoice::Webgpu>
                        "WebGPU"
                    </option>
                    <option value="cpu" selected=device == DeviceChoice::Cpu>
                        "CPU"
                    </option>
                </select>
            </div>
            <ModelSizeLine />
            <button type="submit" class="main-button">
                "Load model"
            </button>
        </form>
    }
}

fn choice(value: &str) -> DeviceChoice {
    match value {
        "webgpu" => DeviceChoice::Webgpu,
        "cpu" => DeviceChoice::Cpu,
        _ => DeviceChoice::Auto,
    }
}
