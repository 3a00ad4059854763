//! From the core's words to the protocol's: events out, failures with a code and a remedy.

use crate::protocol::{Event, Failure, codes};
use fine_r1_core::generate::GenerateError;
use fine_r1_core::image::ImageError;
use fine_r1_core::reasoning::ReasoningEvent;
use fine_r1_core::recognizer::RecognizerError;
use fine_r1_core::weights::WeightsError;
use js_sys::Function;
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;
use web_sys::console;

/// A failure in the words of the protocol.
#[must_use]
pub fn failure(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Failure {
    Failure { code: code.into(), message: message.into(), hint: hint.into() }
}

/// Stopped by the caller.
#[must_use]
pub fn aborted() -> Failure {
    failure(codes::ABORTED, "stopped", "ask again")
}

/// Something that should not happen, with what the browser says of it.
#[must_use]
pub fn internal(what: &str, error: &JsValue) -> Failure {
    failure(
        codes::INTERNAL,
        format!("{what}: {}", spoken(error)),
        "reload the page; if it happens again, report it",
    )
}

/// What a JavaScript error says.
#[must_use]
pub fn spoken(error: &JsValue) -> String {
    error.as_string().unwrap_or_else(|| js_sys::Error::from(error.clone()).message().into())
}

/// A plain JavaScript object.
///
/// # Panics
/// Never: the protocol's types have string keys.
pub fn to_js(value: &impl Serialize) -> JsValue {
    let serializer = Serializer::new().serialize_maps_as_objects(true);
    value.serialize(&serializer).expect("the protocol's types become plain objects")
}

/// Hands an event to the worker, which posts it.
pub fn post(listener: &Function, event: &Event) {
    // A listener that throws is the worker's own mistake; the model goes on.
    drop(listener.call1(&JsValue::NULL, &to_js(event)));
}

/// A piece of thought or answer.
#[must_use]
pub fn piece(id: u32, event: ReasoningEvent) -> Event {
    match event {
        ReasoningEvent::Thinking { text } => Event::Thinking { id, text },
        ReasoningEvent::Answering { text } => Event::Answering { id, text },
    }
}

impl From<WeightsError> for Failure {
    fn from(error: WeightsError) -> Self {
        failure(codes::BAD_MODEL, error.to_string(), error.hint())
    }
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        failure(codes::BAD_IMAGE, error.to_string(), error.hint())
    }
}

/// Errors of a checkpoint's files.
#[must_use]
pub fn of_model(error: &RecognizerError) -> Failure {
    failure(codes::BAD_MODEL, error.to_string(), error.hint())
}

/// Errors of a recognition.
#[must_use]
pub fn of_answer(error: &RecognizerError) -> Failure {
    let code = match error {
        RecognizerError::Image { .. } => codes::BAD_IMAGE,
        RecognizerError::Generate(GenerateError::Device(_)) => return device_lost(error),
        RecognizerError::Generate(_) | RecognizerError::Prompt(_) | RecognizerError::Placeholder { .. } => {
            codes::BAD_OPTIONS
        }
        _ => codes::INTERNAL,
    };
    failure(code, error.to_string(), error.hint())
}

/// What the runtime says of a lost device is for those who look into the console.
fn device_lost(error: &RecognizerError) -> Failure {
    console::warn_1(&error.to_string().into());
    failure(
        codes::DEVICE_LOST,
        "the graphics device went away while it computed",
        "load the model again; if it happens again, reload the page, or choose the processor or a smaller model",
    )
}
