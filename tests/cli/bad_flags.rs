//! What was typed wrongly is answered with what was meant to be typed.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};

#[test]
fn flags_that_make_no_sense_are_refused_by_name() {
    let (model, photo) = (golden_checkpoint("qwen2_vl"), golden_image("tiny.png"));
    let scratch = Scratch::new();
    let mut refusals = Refusals::default();
    let recognize = ["recognize", &photo, "--model", &model];
    for flags in [
        ["--temperature", "nan"],
        ["--temperature", "inf"],
        ["--temperature", "warm"],
        ["--temperature", "-1"],
        ["--top-p", "0"],
        ["--top-p", "1.5"],
        ["--top-p", "nan"],
        ["--repetition-penalty", "0"],
        ["--repetition-penalty", "nan"],
        ["--max-new-tokens", "many"],
        ["--seed", "1.5"],
        ["--device", "abacus"],
        ["--frobnicate", "yes"],
        ["--messages", "m.json"],
    ] {
        refusals.expect_usage(&flags.join(" "), recognize.iter().chain(&flags), &[flags[0]]);
    }
    for flag in
        ["--temperature=-1", "--top-p=-0.5", "--repetition-penalty=-2", "--max-new-tokens=-1", "--seed=-1"]
    {
        let name = flag.split_once('=').expect("a value").0;
        refusals.expect_usage(flag, recognize.iter().chain(&[flag]), &[name]);
    }
    refusals.expect_usage("nothing to recognise", ["recognize"], &["PHOTO"]);
    refusals.expect_usage("no verb that is one", ["recognise", "photo.png"], &["recognise", "recognize"]);
    refusals.expect_usage("export to what", ["export", &model, "out"], &["--dtype"]);
    refusals.expect_usage("export to f8", ["export", &model, "out", "--dtype", "f8"], &["f8", "bf16"]);
    refusals.expect_usage(
        "a preset that is none",
        ["init", "--preset", "giant", "--corpus", "c", "--out", "o"],
        &["giant", "nano"],
    );
    let nothing = scratch.write("nothing.txt", " \n");
    refusals.expect(
        "a corpus of nothing",
        ["init", "--preset", "nano", "--corpus", &nothing, "--out", &scratch.arg("fresh")],
        &["nothing.txt"],
    );
    refusals.expect_usage("score what", ["score", "--model", &model], &["--messages", "--continuation"]);
    refusals.check();
}

#[test]
fn a_device_that_this_build_lacks_is_explained() {
    let (model, photo) = (golden_checkpoint("qwen2_vl"), golden_image("tiny.png"));
    let mut refusals = Refusals::default();
    for device in ["cuda", "vulkan"] {
        refusals.expect(
            device,
            ["recognize", &photo, "--model", &model, "--device", device],
            &[device, "--features"],
        );
    }
    refusals.check();
}

#[test]
fn help_and_version_are_no_failures() {
    for arguments in [vec!["--help"], vec!["--version"], vec!["recognize", "--help"], vec!["help", "sft"]] {
        let run = trainer(&arguments);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(!run.stdout.is_empty(), "{arguments:?}");
    }
}
