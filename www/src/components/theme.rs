//! Light or dark, where the system's setting is not what one wants.

use crate::engine;
use leptos::prelude::*;

/// Under this name `boot.js` finds the choice before the page is drawn.
const THEME: &str = "fine-r1-theme";

/// A switch between light and dark.
#[component]
pub fn ThemeToggle() -> impl IntoView {
    let is_dark = RwSignal::new(engine::is_dark());
    let turn = move |_| {
        // Asked anew: the system may have changed its mind.
        let theme = if engine::is_dark() { "light" } else { "dark" };
        engine::set_theme(theme);
        engine::remember(THEME, theme);
        is_dark.set(theme == "dark");
    };
    view! {
        <button
            type="button"
            class="theme"
            aria-pressed=move || is_dark.get().to_string()
            on:click=turn
        >
            <span class="theme-sign" aria-hidden="true"></span>
            "Dark"
        </button>
    }
}
