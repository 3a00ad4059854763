//! What code may name, and where.

use crate::source::{all_sources, assert_none, mentions, sources};

/// Spellings of backends: devices, crates, features.
const BACKENDS: [&str; 17] = [
    "Device::flex",
    "Device::cuda",
    "Device::vulkan",
    "Device::wgpu",
    "Device::webgpu",
    "Device::metal",
    "Device::ndarray",
    "feature = \"flex\"",
    "feature = \"cuda\"",
    "feature = \"vulkan\"",
    "feature = \"wgpu\"",
    "feature = \"webgpu\"",
    "burn_flex",
    "burn_wgpu",
    "burn_cubecl",
    "CubeBackend",
    "DispatchDevice",
];
/// Kernels of our own take CubeCL's form of a tensor, and name none of its runtimes.
const KERNELS: &str = "core/src/kernels/";
/// Passes of our own take the form that numbers have in the processor's memory.
const PASSES: &str = "core/src/passes/";

#[test]
fn the_core_touches_neither_files_nor_threads_nor_clocks() {
    let words = [
        "std::fs",
        "std::thread",
        "std::net",
        "std::process",
        "std::env",
        "std::os",
        "File::open",
        "Instant",
        "SystemTime",
        "thread::spawn",
        "thread::sleep",
        "println!",
        "eprintln!",
        "print!(",
        "dbg!",
        "include_bytes!",
        "std::io::stdin",
        "std::io::stdout",
    ];
    assert_none(
        "core opens no file, starts no thread, reads no clock, says nothing",
        &mentions(&sources("core/src"), &words, &[]),
    );
}

#[test]
fn the_core_never_waits_for_the_device() {
    let words = [
        "block_on",
        ".into_data()",
        ".to_data()",
        "into_scalar",
        ".sync()",
        ".nonzero(",
        ".mask_select(",
        ".sort(",
    ];
    let found = mentions(&sources("core/src"), &words, &[]);
    // Sorting a list on the host waits for nobody.
    let found: Vec<String> =
        found.into_iter().filter(|line| !(line.contains("`.sort(`") && line.contains(".sort()"))).collect();
    assert_none("core reads numbers back only asynchronously", &found);
}

/// They lend their work to threads that the program has, where it asks for that.
#[test]
fn threads_are_left_to_passes() {
    let rooms: Vec<_> =
        sources("core/src").into_iter().filter(|source| !source.path.starts_with(PASSES)).collect();
    assert_none("only passes know of rayon", &mentions(&rooms, &["rayon"], &[]));
}

#[test]
fn backends_are_named_in_device_files_alone() {
    let rooms = ["core/src", "trainer-native/src", "web/src", "www/src"].into_iter().flat_map(sources);
    let computes = |path: &str| [KERNELS, PASSES].iter().any(|folder| path.starts_with(folder));
    let rooms: Vec<_> = rooms.filter(|source| !computes(&source.path)).collect();
    let allowed = ["trainer-native/src/device.rs", "web/src/device.rs"];
    assert_none("only device.rs knows the backends", &mentions(&rooms, &BACKENDS, &allowed));
}

#[test]
fn only_the_table_of_names_knows_how_checkpoints_spell_tensors() {
    let words = [
        "\"model.language_model.",
        "\"model.visual.",
        "merger.mlp.0",
        "merger.mlp.2",
        "\"model.layers",
        "\"visual.blocks",
    ];
    let rooms: Vec<_> = ["core/src", "trainer-native/src", "web/src"].into_iter().flat_map(sources).collect();
    assert_none(
        "spellings of tensors stand in weights/names.rs",
        &mentions(&rooms, &words, &["core/src/weights/names.rs"]),
    );
}

#[test]
fn one_loop_decodes() {
    let rooms: Vec<_> = ["core/src", "trainer-native/src", "web/src"].into_iter().flat_map(sources).collect();
    let found = mentions(&rooms, &["model.step("], &["core/src/generate/session.rs"]);
    assert_none("only the session steps the model", &found);
    let found = mentions(
        &rooms,
        &["fn smart_resize", "fn resize_bicubic", "fn expand_placeholders"],
        &["core/src/image/resize.rs", "core/src/prompt/placeholders.rs"],
    );
    assert_none("one resize, one expansion of placeholders", &found);
}

#[test]
fn the_page_speaks_the_protocol_and_nothing_else() {
    let words = ["fine_r1_core", "burn::", "safetensors", "tokenizers"];
    assert_none("www does not know the model", &mentions(&sources("www"), &words, &[]));
    let found =
        mentions(&sources("www"), &["js_sys", "wasm_bindgen", "web_sys", "JsValue"], &["www/src/engine.rs"]);
    assert_none("only engine.rs of www touches JavaScript", &found);
}

/// Holds as soon as there are rewards.
#[test]
fn a_reward_sees_no_tensor() {
    let rewards: Vec<_> = sources("trainer-native/src")
        .into_iter()
        .filter(|source| source.path.contains("/rl/reward/"))
        .collect();
    assert_none("a reward sees text and the whole sample", &mentions(&rewards, &["Tensor", "burn::"], &[]));
}

#[test]
fn exceptions_to_lints_say_why() {
    let everywhere = all_sources();
    let [allow, outer_allow] = [["#[", "allow("], ["#![", "allow("]].map(|halves| halves.concat());
    assert_none(
        "an exception is expected, not allowed",
        &mentions(&everywhere, &[&allow, &outer_allow], &[]),
    );
    let mut found = Vec::new();
    for source in &everywhere {
        let squeezed: String = source.text.split_whitespace().collect::<Vec<_>>().join(" ");
        for exception in squeezed.split(&["#[", "expect("].concat()).skip(1) {
            let whole = exception.split(")]").next().unwrap_or_default();
            if !whole.contains("reason =") {
                found.push(format!("{}: expect({whole})", source.path));
            }
        }
    }
    assert_none("an exception has a reason", &found);
}

#[test]
fn a_test_that_cannot_run_says_what_it_needs() {
    let mut found = Vec::new();
    for source in all_sources() {
        for (index, line) in source.text.lines().enumerate() {
            if line.trim() == ["#[", "ignore]"].concat() {
                found.push(format!("{}:{}", source.path, index + 1));
            }
        }
    }
    assert_none("a test that is left out has a reason", &found);
}
