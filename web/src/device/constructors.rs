//! What runs before anything else in the module for WebGPU.
//!
//! CubeCL registers its operations in constructors (`inventory`). A linker that finds nobody calling
//! them takes the module for a command, and calls them again in every function that JavaScript can
//! reach: a token took nine times as long. One call at the start tells it otherwise.
//! <https://docs.rs/inventory/0.3.25/inventory/#webassembly-and-constructors>

use wasm_bindgen::prelude::wasm_bindgen;

#[expect(unsafe_code, reason = "the linker's own function has no safe declaration")]
mod linker {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }

    /// Runs all constructors; JavaScript makes every instance call this once.
    pub fn construct() {
        // SAFETY: the linker defines it with this type, and nothing else here calls it.
        unsafe { __wasm_call_ctors() }
    }
}

/// Runs as soon as the module is there.
#[wasm_bindgen(start)]
pub fn start() {
    linker::construct();
}
