//! `triplets`: what is written can be looked at, is what was asked for, and can be trained on.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use std::fs;

/// Three pictures each of a red, a dark red and a blue class; the blue ones are of another size.
fn pictures() -> Scratch {
    let scratch = Scratch::new();
    let mut lines = String::new();
    for (label, colour, side) in
        [("red", [210_u8, 40, 40], 56), ("dark red", [150, 20, 20], 56), ("blue", [30, 50, 220], 84)]
    {
        for number in 0..3 {
            let picture = RgbImage::from_fn(side, 56, |x, y| {
                let grain = ((x * 31 + y * 17 + number * 7) % 30) as u8;
                Rgb(colour.map(|value| value.saturating_sub(15).saturating_add(grain)))
            });
            let file = format!("{}-{number}.png", label.replace(' ', "-"));
            picture.save(scratch.at(&file)).expect("a picture");
            lines += &format!("{}\n", json!({ "image": file, "label": label }));
        }
    }
    scratch.write("rows.jsonl", lines);
    scratch
}

fn arguments<'a>(data: &'a str, out: &'a str, model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let fixed = ["triplets", "--data", data, "--out", out, "--model", model, "--json"];
    fixed.iter().chain(more).copied().collect()
}

fn rows(folder: &Scratch, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder.at(out).join("triplets.jsonl")).expect("rows");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn triplets_have_the_released_columns_and_the_right_classes() {
    let folder = pictures();
    let (data, model) = (folder.arg("rows.jsonl"), golden_checkpoint("qwen2_5_vl-untied"));
    let out = folder.arg("by-features");
    let report = trainer(arguments(&data, &out, &model, &["--shots", "0"])).json();
    assert_eq!(report["triplets"], 9);
    assert_eq!(report["nearest"]["red"][0], "dark red", "{report}");
    assert_eq!(report["nearest"]["dark red"][0], "red", "{report}");
    for row in rows(&folder, "by-features") {
        let class = |column: &str| {
            let path = row[column][0].as_str().expect("a path").to_owned();
            assert!(folder.at("by-features").join(&path).is_file(), "{path}");
            path.rsplit_once('/').expect("a folder").1.rsplit_once('-').expect("a number").0.replace('-', " ")
        };
        let answer = row["answer"].as_str().expect("text");
        assert_eq!((class("images"), class("image_noisy")), (answer.to_owned(), answer.to_owned()));
        assert_ne!(row["images"], row["image_noisy"]);
        assert_eq!(class("image_aug"), report["nearest"][answer][0].as_str().expect("text"));
        assert!(row["problem"].as_str().expect("text").starts_with("<image>"));
    }
    let sheet = image::open(folder.at("by-features").join("contact_sheet.png")).expect("a picture").to_rgb8();
    // A row for every class; the picture in the last place of the blue row is not blue.
    let blue_row =
        report["sheet_rows"].as_array().expect("rows").iter().position(|row| row["answer"] == "blue");
    let top = 6 + 106 * blue_row.expect("a row") as u32 + 20;
    let is_blue = |left: u32| sheet.get_pixel(left, top).0[2] > 150 && sheet.get_pixel(left, top).0[0] < 100;
    assert!(is_blue(6 + 20) && is_blue(6 + 166 + 20) && !is_blue(6 + 2 * 166 + 20));
}

#[test]
fn neighbours_come_from_names_or_a_table_and_shots_from_the_seed() {
    let folder = pictures();
    let (data, model) = (folder.arg("rows.jsonl"), golden_checkpoint("qwen2_5_vl-untied"));
    let by_names = trainer(arguments(&data, &folder.arg("names"), &model, &["--nearest", "names"])).json();
    assert_eq!(by_names["nearest"]["red"][0], "dark red");
    let table = folder.write(
        "table.json",
        json!({"red": ["green", "blue"], "dark red": ["blue"], "blue": ["red"]}).to_string(),
    );
    let by_table = trainer(arguments(&data, &folder.arg("table"), &model, &["--nearest", &table])).json();
    assert_eq!(by_table["nearest"]["red"][0], "blue");
    let shots = |out: &str, seed: &str| {
        let out_folder = folder.arg(out);
        let more = ["--nearest", "names", "--shots", "2", "--seed", seed];
        assert_eq!(trainer(arguments(&data, &out_folder, &model, &more)).json()["triplets"], 6);
        rows(&folder, out)
    };
    let (one, again) = (shots("one", "1"), shots("again", "1"));
    assert_eq!(one, again);
    assert!(["2", "3", "4"].iter().any(|seed| shots(&format!("other{seed}"), seed) != one));
}

#[test]
fn pictures_of_another_size_are_fitted_where_the_released_code_needs_it() {
    let folder = pictures();
    let (data, model) = (folder.arg("rows.jsonl"), golden_checkpoint("qwen2_5_vl-untied"));
    let table = folder
        .write("table.json", json!({"red": ["blue"], "dark red": ["blue"], "blue": ["red"]}).to_string());
    let more = ["--nearest", table.as_str(), "--same-size"];
    trainer(arguments(&data, &folder.arg("out"), &model, &more)).json();
    for row in rows(&folder, "out") {
        let size = |column: &str| {
            let path = folder.at("out").join(row[column][0].as_str().expect("a path"));
            image::image_dimensions(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        assert_eq!(size("images"), size("image_aug"), "{row}");
        assert_eq!(size("images"), size("image_noisy"), "{row}");
    }
}

#[test]
fn tapo_learns_from_what_is_written() {
    let folder = pictures();
    let (data, model) = (folder.arg("rows.jsonl"), golden_checkpoint("qwen2_5_vl-untied"));
    let out = folder.arg("out");
    trainer(arguments(&data, &out, &model, &["--nearest", "names"])).json();
    let recipe = folder.write(
        "recipe.toml",
        format!(
            "model_name_or_path = {model:?}\noutput_dir = {:?}\nmax_steps = 1\n[data]\ntrain_files = [{out:?}]\n\
             [rollout]\nprompts_per_step = 2\nmax_new_tokens = 4\n[filter]\nenabled = false\n",
            folder.arg("run"),
        ),
    );
    let run = trainer(["tapo", "--recipe", &recipe]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn what_cannot_become_triplets_is_refused() {
    let mut refusals = Refusals::default();
    let folder = pictures();
    let (data, model) = (folder.arg("rows.jsonl"), golden_checkpoint("qwen2_5_vl-untied"));
    let out = folder.arg("out");
    let missing = folder.arg("missing.jsonl");
    refusals.expect("no rows", arguments(&missing, &out, &model, &[]), &[&missing]);
    let one = folder.write("one.jsonl", json!({ "image": "red-0.png", "label": "red" }).to_string());
    refusals.expect("one class", arguments(&one, &out, &model, &["--nearest", "names"]), &["1 class"]);
    let table = folder.write("table.json", json!({"red": ["green"]}).to_string());
    let more = ["--nearest", table.as_str()];
    refusals.expect(
        "a table without neighbours",
        arguments(&data, &out, &model, &more),
        &[&table, "neighbour"],
    );
    let folder_in_use = folder.dir();
    refusals.expect("a filled folder", arguments(&data, &folder_in_use, &model, &[]), &["not empty"]);
    refusals.check();
    assert!(!folder.at("out").exists(), "nothing is left behind");
}
