//! Photo, question and answer.

use crate::components::{AnswerPanel, ExampleList, HistoryList, PhotoPanel, QuestionForm, ThinkingPanel};
use leptos::prelude::*;

/// Where one works. It is there before the model, too: who asks without one has it loaded.
#[component]
pub fn Workbench() -> impl IntoView {
    view! {
        <div class="bench">
            <div class="column">
                <PhotoPanel />
                <ExampleList />
            </div>
            <div class="column">
                <QuestionForm />
                <AnswerPanel />
                <ThinkingPanel />
            </div>
        </div>
        <HistoryList />
    }
}
