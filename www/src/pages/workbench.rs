//! Photo, question and answer.

use crate::components::{
    AnswerPanel, ExampleList, HistoryList, ModelBar, PhotoPanel, QuestionForm, ThinkingPanel,
};
use leptos::prelude::*;

/// Where one works once the model is there.
#[component]
pub fn Workbench() -> impl IntoView {
    view! {
        <ModelBar />
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
