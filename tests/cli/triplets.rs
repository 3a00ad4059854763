//! `triplets`: what is written can be looked at, is what was asked for, and can be trained on.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint};
use fine_r1_tests::{golden, workspace};
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
    let page = String::from_utf8(folder.read("by-features/contact_sheet.html")).expect("UTF-8");
    assert_eq!(page.matches("<img src=\"data:image/jpeg;base64,").count(), 9);
    assert!(page.contains("<th scope=\"row\">dark red") && page.contains("<figcaption>dark red"), "{page}");
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
    let report = trainer(arguments(&data, &out, &model, &["--nearest", "names"])).json();
    let parquet = report["parquet"].as_str().expect("a path");
    // The folder has the rows in both forms, and counts them once; Parquet holds its pictures.
    let alone = folder.arg("alone.parquet");
    fs::copy(parquet, &alone).expect("a copy");
    for (name, rows) in [("run", &out), ("run-parquet", &alone)] {
        let recipe = folder.write(
            "recipe.toml",
            format!(
                "model_name_or_path = {model:?}\noutput_dir = {:?}\nmax_steps = 1\n[data]\ntrain_files = [{rows:?}]\n\
                 [rollout]\nprompts_per_step = 2\nmax_new_tokens = 4\n[filter]\nenabled = false\n",
                folder.arg(name),
            ),
        );
        let run = trainer(["tapo", "--recipe", &recipe]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        assert!(run.stderr.contains("tapo: 9 questions"), "{}", run.stderr);
        assert!(!run.stderr.contains("no negative picture"), "{}", run.stderr);
    }
}

#[test]
fn the_shipped_table_has_a_neighbour_for_every_class_that_is_trained_on() {
    let folder = Scratch::new();
    let airliners = workspace().join("tests/data/airliners");
    let path = |name: &str| airliners.join(name).to_str().expect("a UTF-8 path").to_owned();
    let (data, table, out) = (path("train.jsonl"), path("variants.json"), folder.arg("out"));
    let typed = ["triplets", "--data", &data, "--shots", "2", "--nearest", &table, "--out", &out, "--json"];
    let report = trainer(typed).json();
    assert_eq!((&report["classes"], &report["triplets"]), (&json!(24), &json!(48)));
    // Its four nearest are all unseen.
    let variants: Value = serde_json::from_str(&fs::read_to_string(&table).expect("a table")).expect("JSON");
    let challenger =
        variants.as_array().expect("a list").iter().find(|variant| variant["name"] == "Challenger 600");
    let nearest_seen = &challenger.expect("a variant")["nearest_seen"];
    assert_eq!(report["nearest"]["Challenger 600"][0], nearest_seen[0]);
}

#[test]
fn clip_and_siglip_look_too() {
    let folder = pictures();
    let data = folder.arg("rows.jsonl");
    for family in ["clip", "siglip"] {
        let model = golden("contrastive").join(family).to_str().expect("a UTF-8 path").to_owned();
        let run = trainer(arguments(&data, &folder.arg(family), &model, &[]));
        let report = run.json();
        assert_eq!(report["nearest"]["red"][0], "dark red", "{family}: {report}");
        assert_eq!(report["nearest"]["dark red"][0], "red", "{family}: {report}");
        assert!(run.stderr.contains("9/9 pictures"), "{}", run.stderr);
    }
}

#[test]
fn folders_and_known_sets_are_read_as_by_cot() {
    let folder = pictures();
    for (class, colour) in [("dark_red", "dark-red"), ("blue", "blue")] {
        let inside = folder.at("classes").join("train").join(class);
        fs::create_dir_all(&inside).expect("a folder");
        for number in 0..3 {
            let name = format!("{colour}-{number}.png");
            fs::copy(folder.at(&name), inside.join(&name)).expect("a copy");
        }
    }
    let model = golden_checkpoint("qwen2_5_vl-untied");
    let make = |data: &str, out: &str, more: &[&str]| {
        let all: Vec<&str> = ["--nearest", "names"].iter().chain(more).copied().collect();
        trainer(arguments(&folder.arg(data), &folder.arg(out), &model, &all))
    };
    let report = make("classes", "of-folders", &[]).json();
    assert_eq!((&report["triplets"], &report["nearest"]["blue"][0]), (&json!(6), &json!("dark red")));

    let aircraft = folder.at("aircraft/data/images");
    fs::create_dir_all(&aircraft).expect("a folder");
    let lists = folder.at("aircraft/data");
    let mut list = String::new();
    for (label, colour) in [("727-200", "red"), ("A320", "dark-red"), ("707-320", "blue")] {
        for number in 0..2 {
            fs::copy(
                folder.at(&format!("{colour}-{number}.png")),
                aircraft.join(format!("{colour}{number}.jpg")),
            )
            .expect("a copy");
            list += &format!("{colour}{number} {label}\n");
        }
    }
    fs::write(lists.join("images_variant_trainval.txt"), list).expect("a list");
    fs::write(lists.join("images_variant_test.txt"), "").expect("a list");
    let report = make("aircraft", "of-aircraft", &[]).json();
    assert_eq!(report["triplets"], 6);
    assert_eq!(report["nearest"]["Boeing 727-200"][0], "Boeing 707-320", "{report}");
    let wanted = folder.write("wanted.txt", "A320\n727-200\n");
    let report = make("aircraft", "of-some", &["--classes", &wanted]).json();
    assert_eq!(
        (&report["classes"], &report["nearest"]["Airbus A320"][0]),
        (&json!(2), &json!("Boeing 727-200"))
    );

    let table = folder.write(
        "rows.csv",
        "image,label,question\nred-0.png,red,Which red?\nred-1.png,red,\nblue-0.png,blue,\n",
    );
    make(&table, "of-table", &[]).json();
    let rows = rows(&folder, "of-table");
    assert_eq!(rows[0]["problem"], "<image>Which red?");
    assert_eq!(rows.len(), 2, "blue has one picture");
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
    let more = ["--nearest", "names", "--image-root", "."];
    fs::create_dir_all(folder.at("classes/red")).expect("a folder");
    fs::copy(folder.at("red-0.png"), folder.at("classes/red/0.png")).expect("a copy");
    let classes = folder.arg("classes");
    refusals.expect(
        "a root beside folders",
        arguments(&classes, &out, &model, &more),
        &["--image-root", "classes"],
    );
    let table =
        folder.write("twice.jsonl", format!("{}\n", json!({ "image": "red-0.png", "label": "blue" })));
    let twice = ["triplets", "--data", &data, "--data", &table, "--nearest", "names", "--out", &out];
    refusals.expect("two labels", twice, &["red-0.png", "`red` and `blue`"]);
    let folder_in_use = folder.dir();
    refusals.expect("a filled folder", arguments(&data, &folder_in_use, &model, &[]), &["not empty"]);
    refusals.check();
    assert!(!folder.at("out").exists(), "nothing is left behind");
}
