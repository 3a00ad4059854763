//! `evaluate --out`: result files survive what happens to processes.

use crate::evaluate::{answers, arguments, evaluate, with_photos, with_sets};
use crate::program::{start, trainer};
use crate::scratch::{golden_checkpoint, golden_image};
use std::fs;

#[test]
fn a_second_run_asks_only_what_is_missing() {
    let scratch = with_sets(5);
    let out = scratch.arg("out");
    let whole = evaluate(&scratch, &["--out", &out]).json();
    let path = "out/results.jsonl";
    let bytes = scratch.read(path);
    let again = evaluate(&scratch, &["--out", &out]);
    assert_eq!(again.json(), whole);
    assert!(!again.stderr.contains("ETA"), "nothing was asked: {}", again.stderr);
    assert_eq!(scratch.read(path), bytes);

    // As kill -9 leaves it: answers are lacking, and the last line is torn.
    for kept in [bytes.len() - 7, bytes.len() / 2, 10] {
        scratch.write(path, &bytes[..kept]);
        assert_eq!(evaluate(&scratch, &["--out", &out]).json(), whole, "{kept} bytes kept");
        assert_eq!(answers(&scratch, "out").len(), 40, "{kept} bytes kept");
    }
    // Other settings are other answers, beside the first ones.
    let other =
        evaluate(&scratch, &["--out", &out, "--seed", "3", "--task", "closed", "--ablate", "none"]).json();
    assert_eq!((other["asked"].as_u64(), answers(&scratch, "out").len()), (Some(10), 50));
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let scratch = with_sets(30);
    let (whole, killed) = (scratch.arg("whole"), scratch.arg("killed"));
    let flags = ["--task", "closed", "--ablate", "none"];
    let run = |out: &str| evaluate(&scratch, &[["--out", out].as_slice(), &flags].concat());
    let expected = run(&whole).json();
    let typed = arguments(
        &scratch,
        &golden_checkpoint("qwen2_vl"),
        &[["--out", &killed].as_slice(), &flags].concat(),
    );
    let mut child = start(typed);
    let written = || fs::metadata(scratch.at("killed/results.jsonl")).map_or(0, |facts| facts.len());
    while written() < 4000 && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let before = answers(&scratch, "killed").len();
    assert!((1..60).contains(&before), "{before} of 60 answers");
    assert_eq!(run(&killed).json(), expected);
    assert_eq!(answers(&scratch, "killed"), answers(&scratch, "whole"));
}

#[test]
fn several_processes_share_one_file() {
    let scratch = with_sets(7);
    let (whole, shared) = (scratch.arg("whole"), scratch.arg("shared"));
    let alone = evaluate(&scratch, &["--out", &whole, "--task", "open"]).json();
    let flags = |shard: &'static str| {
        ["--out", shared.as_str(), "--task", "open", "--shard", shard].map(str::to_owned)
    };
    let model = golden_checkpoint("qwen2_vl");
    let children = ["1/3", "2/3", "3/3"].map(|shard| {
        let flags = flags(shard);
        start(arguments(&scratch, &model, &flags.each_ref().map(String::as_str)))
    });
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(answers(&scratch, "shared"), answers(&scratch, "whole"));
    let together = evaluate(&scratch, &["--out", &shared, "--task", "open"]);
    assert_eq!(together.json(), alone);
    assert!(!together.stderr.contains("ETA"), "nothing was left to ask: {}", together.stderr);
    // A shard alone says that it is one.
    let part =
        evaluate(&scratch, &["--out", &scratch.arg("part"), "--shard", "1/2", "--task", "open"]).json();
    assert_eq!((part["asked"].as_u64(), part["answered"].as_u64()), (Some(28), Some(16)));
}

/// The same names in another folder, and the same bytes in another one.
#[test]
fn answers_belong_to_photos_and_not_to_their_names() {
    let scratch = with_sets(4);
    for (folder, names) in [
        ("copies", ["tiny.png", "rgb.png", "grey.png", "palette.png"]),
        ("others", ["rgb.png", "tiny.png", "grey.png", "palette.png"]),
    ] {
        fs::create_dir(scratch.at(folder)).expect("a folder");
        for (name, from) in ["tiny.png", "rgb.png", "grey.png", "palette.png"].iter().zip(names) {
            fs::copy(golden_image(from), scratch.at(folder).join(name)).expect("room");
        }
    }
    let model = golden_checkpoint("qwen2_vl");
    let out = scratch.arg("out");
    let flags = ["--out", &out, "--task", "open", "--ablate", "none", "--max-new-tokens", "2"];
    let run = |folder: &str| {
        trainer(with_photos(&scratch, &model, &scratch.arg(folder), &flags)).json();
        answers(&scratch, "out").len()
    };
    assert_eq!(["copies", "copies", "others", "copies"].map(run), [8, 8, 16, 16]);
    fs::rename(scratch.at("copies"), scratch.at("moved")).expect("the same disk");
    assert_eq!(run("moved"), 16);
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_with_another_code_than_a_whole_run() {
    use std::io::Read;

    let scratch = with_sets(200);
    let out = scratch.arg("out");
    let typed = arguments(&scratch, &golden_checkpoint("qwen2_vl"), &["--out", &out]);
    let mut child = start(typed);
    let written = || fs::metadata(scratch.at("out/results.jsonl")).map_or(0, |facts| facts.len());
    while written() < 6000 && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
    let code = child.wait().expect("it ends").code();
    let mut said = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut said).expect("UTF-8");
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("questions; the same command goes on"), "{said}");
    assert!(!scratch.at("out/summary.json").exists(), "nothing was summed up");
    assert!(!answers(&scratch, "out").is_empty());
}
