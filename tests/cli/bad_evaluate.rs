//! `evaluate`: what is refused before a single question is asked.

use crate::program::Refusals;
use crate::scratch::{Scratch, golden_checkpoint};
use fine_r1_tests::golden;

const ROW: &str =
    r#"{"image_path": "tiny.png", "question": "Which?", "options": ["a", "b"], "ground_truth": "a"}"#;

fn images() -> String {
    golden("images").to_str().expect("a UTF-8 path").to_owned()
}

#[test]
fn rows_that_cannot_be_asked_are_named_with_their_line() {
    let scratch = Scratch::new();
    let model = golden_checkpoint("qwen2_vl");
    let mut refusals = Refusals::default();
    for (why, text, named) in [
        ("no JSON", "{\n", ":1"),
        ("a second line that is none", &format!("{ROW}\n[]\n"), ":2"),
        ("no image", r#"{"question": "Which?", "ground_truth": "a"}"#, "image_path"),
        (
            "truth not among options",
            r#"{"image_path": "tiny.png", "options": ["b"], "ground_truth": "a"}"#,
            "among the options",
        ),
        (
            "one name twice",
            r#"{"image_path": "tiny.png", "options": ["Border_Collie", "b", "border collie"], "ground_truth": "b"}"#,
            "`Border_Collie` and `border collie`",
        ),
        ("nothing", "\n", "no rows"),
    ] {
        let data = scratch.write("x_seen.jsonl", text);
        let typed = ["evaluate", "--model", &model, "--data", &data, "--image-root", &images()];
        refusals.expect(why, typed, &["x_seen.jsonl", named]);
    }
    let data = scratch.arg("absent.jsonl");
    refusals.expect("no file", ["evaluate", "--model", &model, "--data", &data], &["absent.jsonl"]);
    let plain = scratch.write("y.jsonl", r#"{"image_path": "tiny.png", "ground_truth": "a"}"#);
    let typed =
        ["evaluate", "--model", &model, "--data", &plain, "--image-root", &images(), "--task", "closed"];
    refusals.expect("no options to choose among", typed, &["options"]);
    refusals.check();
}

#[test]
fn missing_photos_are_all_listed_before_the_start() {
    let scratch = Scratch::new();
    let model = golden_checkpoint("qwen2_vl");
    let rows = |names: &[&str]| -> String {
        names.iter().map(|name| ROW.replace("tiny.png", name) + "\n").collect()
    };
    let birds = scratch.write("bird_seen.jsonl", rows(&["tiny.png", "gone-1.png", "gone-2.png"]));
    let cars = scratch.write("car_seen.jsonl", rows(&["gone-3.png"]));
    let images = images();
    let both = ["evaluate", "--model", &model, "--data", &birds, "--data", &cars];
    let mut refusals = Refusals::default();
    refusals.expect(
        "two files",
        both.iter().copied().chain(["--image-root", &images]),
        &["3 of 4 photos", "gone-1.png", "gone-2.png", "gone-3.png", "--image-root"],
    );
    let root = format!("bird={images}");
    refusals.expect(
        "one root",
        both.iter().copied().chain(["--image-root", &root]),
        &["3 of 4", "bird_seen.jsonl: 2 of 3"],
    );
    let root = format!("dog={images}");
    refusals.expect(
        "a root of no set",
        both.iter().copied().chain(["--image-root", &root]),
        &["dog=", "bird_seen, car_seen"],
    );
    refusals.expect("the same set twice", both.iter().copied().chain(["--data", &birds]), &["bird_seen"]);
    // Some of many are all named, and of a whole set that is elsewhere a few.
    let names: Vec<String> = (0..25).map(|number| format!("gone-{number}.png")).collect();
    let gone: Vec<&str> = names.iter().map(String::as_str).collect();
    let dogs = scratch.write("dog_seen.jsonl", rows(&[gone.as_slice(), &["tiny.png"]].concat()));
    let dogs = ["evaluate", "--model", &model, "--data", &dogs, "--image-root", &images];
    refusals.expect("25 of 26", dogs, &[gone.as_slice(), &["25 of 26 photos"]].concat());
    let pets = scratch.write("pet_seen.jsonl", rows(&gone));
    let pets = ["evaluate", "--model", &model, "--data", &pets];
    refusals.expect("all of 25", pets, &["25 of 25 photos", "gone-9.png", "and all 15 others"]);
    refusals.check();
}

#[test]
fn photos_that_are_none_are_all_named_before_the_start() {
    let scratch = Scratch::new();
    let rows: String = ["whole.png", "text.png", "cut.jpg", "thread.png"]
        .iter()
        .map(|name| ROW.replace("tiny.png", name) + "\n")
        .collect();
    let data = scratch.write("x_seen.jsonl", rows);
    let image = |name: &str| std::fs::read(golden("images").join(name)).expect("a golden picture");
    scratch.write("whole.png", image("tiny.png"));
    scratch.write("text.png", "no picture");
    let jpeg = image("baseline.jpg");
    scratch.write("cut.jpg", &jpeg[..jpeg.len() / 2]);
    image::RgbImage::new(1, 201).save(scratch.at("thread.png")).expect("room");
    let (model, out) = (golden_checkpoint("qwen2_vl"), scratch.arg("out"));
    let typed = ["evaluate", "--model", &model, "--data", &data, "--out", &out];
    let mut refusals = Refusals::default();
    let named = ["3 of 4 photos", "text.png", "cut.jpg", "thread.png"];
    refusals.expect("three of four", typed, &named);
    let whole = scratch.write("whole_seen.jsonl", ROW.replace("tiny.png", "whole.png"));
    let probed = ["evaluate", "--model", &model, "--data", &whole, "--probe", &data];
    refusals.expect("rows of a probe", probed, &named);
    refusals.check();
    // Once they are mended, the folder is filled.
    for name in ["text.png", "cut.jpg", "thread.png"] {
        scratch.write(name, image("rgb.png"));
    }
    let run = crate::program::trainer(typed.iter().copied().chain(["--max-new-tokens", "1", "--json"]));
    assert_eq!(run.json()["answered"], 16);
}

#[test]
fn flags_that_do_not_fit_together_are_refused() {
    let scratch = Scratch::new();
    let data = scratch.write("x_seen.jsonl", ROW);
    let train = scratch.write("train.jsonl", ROW);
    let (model, images, out) = (golden_checkpoint("qwen2_vl"), images(), scratch.arg("out"));
    let clip = golden("contrastive/clip").to_str().expect("a UTF-8 path").to_owned();
    let fixed = |model: &str| {
        ["evaluate", "--model", model, "--data", &data, "--image-root", &images].map(str::to_owned)
    };
    let mut refusals = Refusals::default();
    for flags in [
        ["--samples", "0"],
        ["--samples", "many"],
        ["--class-prompt", "a photo"],
        ["--ablate", "everything"],
        ["--task", "half-open"],
        ["--temperature", "-1"],
        ["--batch", "0"],
        ["--max-new-tokens", "0"],
        ["--repetition-penalty", "0"],
    ] {
        let typed: Vec<String> = fixed(&model).into_iter().chain([flags.join("=")]).collect();
        refusals.expect_usage(&flags.join(" "), typed, &[flags[0]]);
    }
    for shard in ["0/2", "3/2", "1", "a/b"] {
        let flags = [format!("--shard={shard}"), "--out".into(), out.clone()];
        refusals.expect_usage(shard, fixed(&model).into_iter().chain(flags), &["--shard"]);
    }
    refusals.expect_usage(
        "a shard of nothing",
        fixed(&model).into_iter().chain(["--shard=1/2".into()]),
        &["--out"],
    );
    refusals.expect_usage("no rows", ["evaluate"], &["--data"]);
    refusals.expect_usage("one folder to compare", ["evaluate", "--compare", "a"], &["--compare"]);
    let own = scratch.write("own.toml", "closed = '{question}'\nopen = '{question}'");
    let bare = scratch.write("bare.toml", "closed = '{question} {options}'\nopen = '{question}'");
    for (why, model, flags, named) in [
        ("a prompt of no name", &model, vec!["--prompt", "gentle"], vec!["gentle", "released-answer-only"]),
        ("a prompt without options", &model, vec!["--prompt", &own], vec!["own.toml", "{options}"]),
        (
            "no way not to think",
            &model,
            vec!["--prompt", &bare, "--ablate", "no-thinking"],
            vec!["closed_answer_only"],
        ),
        (
            "no thought to leave out",
            &model,
            vec!["--answer-only", "--ablate", "no-thinking"],
            vec!["no-thinking"],
        ),
        ("two kinds of shares", &model, vec!["--score-options", "--samples", "3"], vec!["--score-options"]),
        (
            "the same sample thrice",
            &model,
            vec!["--samples", "3", "--temperature", "0"],
            vec!["--temperature"],
        ),
        (
            "no text vectors",
            &model,
            vec!["--embedder", &model, "--max-new-tokens", "1"],
            vec!["CLIP", "sentence embedder", "--embedder"],
        ),
        ("a word for no data set", &model, vec!["--category", "dog=dog"], vec!["dog=dog"]),
        ("no word", &model, vec!["--category", "dog"], vec!["DATASET=WORD"]),
        ("CLIP names nothing", &clip, vec!["--task", "open"], vec!["--task closed"]),
        ("CLIP does not think", &clip, vec!["--ablate", "no-thinking"], vec!["no-thinking"]),
        ("no probe through CLIP", &clip, vec!["--probe", &train], vec!["--probe"]),
        ("CLIP is asked nothing", &clip, vec!["--prompt", "released"], vec!["--prompt", "--class-prompt"]),
        ("CLIP writes nothing", &clip, vec!["--max-new-tokens", "9"], vec!["--max-new-tokens"]),
        ("CLIP draws nothing", &clip, vec!["--samples", "2", "--top-p", "0.9"], vec!["--samples, --top-p"]),
        ("CLIP sees no order", &clip, vec!["--released-order"], vec!["--released-order"]),
        ("nobody reads a name", &model, vec!["--class-prompt", "a {}"], vec!["--class-prompt", "--prompt"]),
        ("nothing is drawn", &model, vec!["--temperature", "0.7"], vec!["--temperature", "--samples"]),
        ("nothing is cut", &model, vec!["--top-p", "0.7"], vec!["--top-p", "--samples"]),
    ] {
        let flags = flags.into_iter().map(str::to_owned);
        refusals.expect(why, fixed(model).into_iter().chain(flags), &named);
    }
    refusals.check();
}

#[test]
fn result_files_that_are_none_are_refused() {
    let scratch = Scratch::new();
    let data = scratch.write("x_seen.jsonl", ROW);
    let (model, images) = (golden_checkpoint("qwen2_vl"), images());
    let out = scratch.arg("out");
    std::fs::create_dir(&out).expect("a folder");
    scratch.write("out/results.jsonl", "not a line\n{\"torn");
    let mut refusals = Refusals::default();
    let fixed = ["evaluate", "--model", &model, "--data", &data, "--image-root", &images];
    refusals.expect(
        "no results",
        fixed.iter().copied().chain(["--out", &out]),
        &["results.jsonl:1", "--out"],
    );
    // A line by hand: the id of what is asked, and a row that the set has not.
    let (other, one) =
        (scratch.arg("other"), ["--task", "open", "--ablate", "none", "--max-new-tokens", "1"]);
    let typed: Vec<&str> = fixed.iter().copied().chain(["--out", &other]).chain(one).collect();
    assert_eq!(crate::program::trainer(&typed).code, Some(0));
    let lines = String::from_utf8(scratch.read("other/results.jsonl")).expect("UTF-8");
    scratch.write("other/results.jsonl", lines.replace(r#""row":0"#, r#""row":999"#));
    refusals.expect("a strange row", typed, &["results.jsonl", "999", "x_seen", "--out"]);
    refusals.expect("a file in the way", fixed.iter().copied().chain(["--out", &data]), &["x_seen.jsonl"]);
    let (nothing, empty) = (scratch.arg("nothing"), scratch.arg("empty"));
    std::fs::create_dir(&empty).expect("a folder");
    refusals.expect("nothing to compare", ["evaluate", "--compare", &empty, &nothing], &["empty", "--out"]);
    refusals.check();
}

#[test]
fn damaged_contrastive_checkpoints_are_refused_by_file() {
    let mut refusals = Refusals::default();
    let images = images();
    let spoil = |change: fn(&Scratch)| {
        let scratch = Scratch::new();
        for name in [
            "config.json",
            "preprocessor_config.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "model.safetensors",
        ] {
            scratch
                .write(name, std::fs::read(golden("contrastive/siglip").join(name)).expect("a golden file"));
        }
        scratch.write("x_seen.jsonl", ROW);
        change(&scratch);
        scratch
    };
    type Change = fn(&Scratch);
    let cases: [(&str, Change, &[&str]); 8] = [
        ("no tokenizer", |folder| folder.remove("tokenizer.json"), &["tokenizer.json"]),
        ("no weights", |folder| folder.remove("model.safetensors"), &["model.safetensors"]),
        ("weights cut short", |folder| folder.cut("model.safetensors", 9000), &["model.safetensors"]),
        (
            "another size",
            |folder| folder.edit("preprocessor_config.json", |json| json["size"]["height"] = 40.into()),
            &["size.height"],
        ),
        (
            "a wider model",
            |folder| folder.edit("config.json", |json| json["text_config"]["intermediate_size"] = 64.into()),
            &["fc1", "shape"],
        ),
        (
            "no such activation",
            |folder| folder.edit("config.json", |json| json["vision_config"]["hidden_act"] = "relu".into()),
            &["hidden_act"],
        ),
        (
            "no end token",
            |folder| folder.edit("tokenizer_config.json", |json| json["eos_token"] = "<end>".into()),
            &["<end>"],
        ),
        (
            "a damaged charsmap",
            |folder| {
                folder.edit("tokenizer.json", |json| {
                    json["normalizer"]["normalizers"][4]["precompiled_charsmap"] = "AAAA".into()
                })
            },
            &["Precompiled"],
        ),
    ];
    for (why, change, named) in cases {
        let folder = spoil(change);
        let (model, data) = (folder.dir(), folder.arg("x_seen.jsonl"));
        refusals.expect(
            why,
            ["evaluate", "--model", &model, "--data", &data, "--image-root", &images],
            named,
        );
    }
    refusals.check();
}
