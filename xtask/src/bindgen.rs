//! The JavaScript around a module: what the program wasm-bindgen does, without installing it.

use anyhow::{Context, Result};
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

/// Writes `<name>.js` and `<name>_bg.wasm` for browsers, and snippets where the crates bring some.
///
/// # Errors
/// The module was made with another version of wasm-bindgen, or makes no sense.
pub fn generate(wasm: &Path, name: &str, out: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name(name).web(true)?;
    bindgen.typescript(false).omit_default_module_path(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    bindgen.generate(out).with_context(|| {
        format!(
            "wasm-bindgen cannot read {}\nhint: Cargo.lock must hold one version for wasm-bindgen and wasm-bindgen-cli-support",
            wasm.display()
        )
    })
}
