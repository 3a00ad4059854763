//! Runs that end when nobody expects it: killed at any moment, or met by a full disk.
//!
//! Whenever that is, what was saved stays, and the run that is gone on with ends with the weights of
//! the one that was left alone.

use crate::run::Folder;
use std::fs;
use std::process::Child;
use std::time::Instant;

const SETTINGS: [&str; 5] =
    ["max_steps=40", "save_steps=1", "save_total_limit=2", "warmup_steps=2", "ema_decay=0.5"];
/// Files that must be those of the run that was left alone.
const FILES: [&str; 3] =
    ["model.safetensors", "checkpoint-40/model.safetensors", "checkpoint-40/optimizer.safetensors"];
const KILLS: u32 = 20;

/// Killed at moments spread over the start of the program, some steps, and the writing of their states.
#[test]
fn a_run_that_is_killed_twenty_times_is_the_run_that_was_left_alone() {
    let folder = Folder::new();
    let begun = Instant::now();
    folder.train("short", &[SETTINGS.as_slice(), &["max_steps=1"]].concat());
    let start = begun.elapsed();
    folder.train("whole", &SETTINGS);
    let step = begun.elapsed().saturating_sub(start * 2) / 39;
    // A made-up sequence: what matters is that the moments differ.
    let mut random = 17_u64;
    for kill in 0..KILLS {
        let program = begin_or_go_on(&folder, "killed");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (random >> 40) as f64 / f64::from(1_u32 << 24);
        std::thread::sleep((start + step * 5).mul_f64(share));
        end(program);
        check_states(&folder, "killed", kill);
    }
    let output = begin_or_go_on(&folder, "killed").wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for file in FILES {
        assert!(folder.bytes("whole", file) == folder.bytes("killed", file), "{file} differs");
    }
    assert_eq!(folder.steps("killed"), (1..=40).collect::<Vec<_>>(), "every step is told of once");
    assert!(!folder.names("killed").iter().any(|name| name.starts_with("unfinished")));
}

fn begin_or_go_on(folder: &Folder, run: &str) -> Child {
    let has_state = folder.names(run).iter().any(|name| name.starts_with("checkpoint-"));
    folder.start_with(run, &SETTINGS, if has_state { &["--resume"] } else { &[] })
}

fn end(mut program: Child) {
    // It may have ended by itself.
    drop(program.kill());
    program.wait().expect("the program ends");
}

/// Every state that is there is whole.
fn check_states(folder: &Folder, run: &str, kill: u32) {
    for name in folder.names(run).iter().filter(|name| name.starts_with("checkpoint-")) {
        let facts: serde_json::Value =
            serde_json::from_slice(&folder.bytes(run, &format!("{name}/trainer_state.json"))).expect("JSON");
        assert_eq!(name, &format!("checkpoint-{}", facts["step"]), "kill {kill}");
        for file in ["model.safetensors", "optimizer.safetensors"] {
            let bytes = folder.bytes(run, &format!("{name}/{file}"));
            safetensors::SafeTensors::deserialize(&bytes)
                .unwrap_or_else(|error| panic!("kill {kill}: {name}/{file}: {error}"));
        }
    }
}

/// A limit on the size of files stands for a disk that is full while the optimizer's state is written,
/// which is the largest file of a state.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_last_state_as_it_was() {
    let folder = Folder::new();
    let settings = ["max_steps=4", "save_steps=2"];
    folder.train("whole", &settings);
    folder.copy_state("whole", "full", 2);
    let kibibytes = |file: &str| folder.bytes("whole", &format!("checkpoint-2/{file}")).len() / 1024;
    let (weights, optimizer) = (kibibytes("model.safetensors"), kibibytes("optimizer.safetensors"));
    assert!(weights + 8 < optimizer, "the limit lies between {weights} and {optimizer} KiB");
    let output = folder.resume_with_file_limit("full", &settings, weights + 8);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("optimizer.safetensors") && said.contains("\nhint: "), "{said}");
    let left: Vec<String> = folder
        .names("full")
        .into_iter()
        .filter(|name| name.starts_with("checkpoint-") || name.starts_with("unfinished"))
        .collect();
    assert_eq!(left, ["checkpoint-2"]);
    for entry in fs::read_dir(folder.at("full/checkpoint-2")).expect("a state") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let file = format!("checkpoint-2/{name}");
        assert!(folder.bytes("whole", &file) == folder.bytes("full", &file), "{file} was touched");
    }
    folder.resume("full", &settings);
    assert!(folder.bytes("whole", "model.safetensors") == folder.bytes("full", "model.safetensors"));
}
