//! Waiting in a worker without keeping it from its messages.

use js_sys::{Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, Performance, WorkerGlobalScope};

/// Waits for a promise and takes its value for a `T`.
///
/// # Errors
/// What the promise was rejected with.
pub async fn wait<T: JsCast>(promise: Promise) -> Result<T, JsValue> {
    Ok(JsFuture::from(promise).await?.unchecked_into())
}

/// Lets the worker handle its messages. A timer would cost four milliseconds each time.
pub async fn yield_to_messages() {
    let Ok(channel) = MessageChannel::new() else { return };
    let promise = Promise::new(&mut |resolve: Function, _| {
        channel.port1().set_onmessage(Some(&resolve));
        drop(channel.port2().post_message(&JsValue::NULL));
    });
    drop(JsFuture::from(promise).await);
    // An open port is kept by the browser.
    channel.port1().close();
}

/// Waits for so many milliseconds.
pub async fn sleep(millis: i32) {
    let promise = Promise::new(&mut |resolve: Function, _| {
        drop(scope().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, millis));
    });
    drop(JsFuture::from(promise).await);
}

/// Seconds on a clock that never goes back.
#[must_use]
pub fn now_secs() -> f64 {
    scope().performance().as_ref().map_or(0.0, Performance::now) / 1000.0
}

/// The worker.
#[must_use]
pub fn scope() -> WorkerGlobalScope {
    js_sys::global().unchecked_into()
}
