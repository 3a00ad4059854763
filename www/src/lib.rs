//! The page that recognizes a photo in the browser, with Leptos on the client side.
//!
//! Nothing here knows the model: the page speaks [`fine_r1_web::protocol`] with a worker. What the
//! conversation with the worker has come to is one enum, `State` in `state.rs`; the functions that
//! change it, and all other logic, are plain and tested on any machine. `engine.rs` alone touches
//! JavaScript. A component is a file.

mod app;
mod candidates;
mod components;
mod engine;
mod examples;
mod export;
mod figures;
mod model_source;
mod page;
mod pages;
mod photo;
mod problem;
mod state;

pub use engine::start;
