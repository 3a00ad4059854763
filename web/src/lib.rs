//! Fine-R1 in the browser: the model as a JavaScript object that lives in a worker.
//!
//! Without features this crate is the [`protocol`] alone, which a page links. With `cpu` or `webgpu`
//! it is also the engine behind it; `js/worker.js` chooses between the two builds.

pub mod protocol;

#[cfg(feature = "engine")]
mod device;
#[cfg(feature = "engine")]
mod download;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "engine")]
mod events;
#[cfg(feature = "engine")]
mod storage;
#[cfg(feature = "engine")]
mod waiting;
