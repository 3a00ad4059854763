//! `cot --data`: the layouts of labelled pictures, in small made-up copies.

use crate::cot_server::{Answer, ChatServer, rationale};
use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use fine_r1_tests::golden;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Name and label of a picture.
type Row = (&'static str, &'static str);

/// Name, maker, and the rows for training and for testing.
type Known = (&'static str, fn() -> Scratch, &'static [Row], &'static [Row]);

/// Puts a picture where each name says.
fn place(scratch: &Scratch, names: &[&str]) {
    for name in names {
        write(scratch, name, fs::read(golden_image("tiny.png")).expect("a picture"));
    }
}

fn write(scratch: &Scratch, name: &str, bytes: impl AsRef<[u8]>) {
    let path = scratch.at("data").join(name);
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

/// Copies a folder of `golden/labelled`, made by `tests/reference/make_labelled.py`.
fn copy_golden(scratch: &Scratch, folder: &str, inside: &str) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to)
            } else {
                fs::copy(entry.path(), to).expect("a copy");
            }
        }
    }
    copy(&golden("labelled").join(folder), &scratch.at("data").join(inside));
}

fn cub() -> Scratch {
    let scratch = Scratch::new();
    // The archive unpacks to a folder of its own.
    let file = |name: &str, text: &str| write(&scratch, &format!("CUB_200_2011/{name}"), text);
    file("classes.txt", "1 001.Black_footed_Albatross\n2 004.Groove_billed_Ani\n");
    file(
        "images.txt",
        "1 001.Black_footed_Albatross/a.jpg\n2 001.Black_footed_Albatross/b.jpg\n3 004.Groove_billed_Ani/c.jpg\n",
    );
    file("image_class_labels.txt", "1 1\n2 1\n3 2\n");
    file("train_test_split.txt", "1 1\n2 0\n3 1\n");
    for name in ["001.Black_footed_Albatross/a", "001.Black_footed_Albatross/b", "004.Groove_billed_Ani/c"] {
        place(&scratch, &[&format!("CUB_200_2011/images/{name}.jpg")]);
    }
    scratch
}

fn cars() -> Scratch {
    let scratch = Scratch::new();
    copy_golden(&scratch, "cars", "");
    place(&scratch, &["cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg"]);
    scratch
}

fn cars_whole() -> Scratch {
    let scratch = Scratch::new();
    copy_golden(&scratch, "cars-whole", "");
    place(&scratch, &["car_ims/000001.jpg", "car_ims/000002.jpg"]);
    scratch
}

fn dogs() -> Scratch {
    let scratch = Scratch::new();
    copy_golden(&scratch, "dogs", "lists");
    let names = [
        "n02085620-Chihuahua/n02085620_1",
        "n02085936-Maltese_dog/n02085936_2",
        "n02085936-Maltese_dog/n02085936_3",
    ];
    for name in names {
        place(&scratch, &[&format!("Images/{name}.jpg")]);
    }
    scratch
}

fn flowers() -> Scratch {
    let scratch = Scratch::new();
    copy_golden(&scratch, "flowers", "");
    for number in 1..=5 {
        place(&scratch, &[&format!("jpg/image_{number:05}.jpg")]);
    }
    scratch
}

fn pets() -> Scratch {
    let scratch = Scratch::new();
    write(
        &scratch,
        "annotations/trainval.txt",
        "#Image CLASS-ID SPECIES BREED ID\nAbyssinian_100 1 1 1\namerican_bulldog_7 2 2 1\n",
    );
    write(&scratch, "annotations/test.txt", "american_bulldog_203 2 2 1\n");
    place(
        &scratch,
        &["images/Abyssinian_100.jpg", "images/american_bulldog_7.jpg", "images/american_bulldog_203.jpg"],
    );
    scratch
}

fn aircraft() -> Scratch {
    let scratch = Scratch::new();
    write(&scratch, "data/images_variant_trainval.txt", "0034309 727-200\n1025794 707-320\n");
    write(&scratch, "data/images_variant_test.txt", "0056978 Fokker 70\n");
    place(&scratch, &["data/images/0034309.jpg", "data/images/1025794.jpg", "data/images/0056978.jpg"]);
    scratch
}

fn folders() -> Scratch {
    let scratch = Scratch::new();
    place(&scratch, &["train/Scott_Oriole/1.jpg", "val/Scott_Oriole/2.JPG", "test/Ani/3.png"]);
    write(&scratch, "train/Scott_Oriole/notes.txt", "no picture");
    scratch
}

/// Runs `cot` with a teacher that always passes; name and label of every picture of the data set.
fn read(scratch: &Scratch, data: &str, flags: &[&str]) -> Vec<(String, String)> {
    let server = ChatServer::start(|asked| Answer::Say(rationale(&asked.label())));
    let (data, out, url) = (scratch.arg(data), scratch.arg("out"), server.url());
    let typed = [
        "cot",
        "--teacher",
        "server",
        "--server-model",
        "m",
        "--server-url",
        &url,
        "--data",
        &data,
        "--out",
        &out,
    ];
    let run = trainer(typed.iter().chain(flags));
    assert_eq!(run.code, Some(0), "{}\n{}", run.typed, run.stderr);
    let records: Value = serde_json::from_slice(&scratch.read("out/rationales.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = records.as_array().expect("a list").iter().map(|record| {
        let answer = text(&record["messages"][1]["content"]);
        let (_, answer) = answer.rsplit_once("<answer>").expect("an answer");
        (text(&record["images"][0]), answer.trim_end_matches("</answer>").to_owned())
    });
    rows.collect()
}

#[test]
fn every_layout_is_recognised_and_read_in_its_parts() {
    let layouts: [Known; 8] = [
        (
            "cub",
            cub,
            &[
                ("images/001.Black_footed_Albatross/a.jpg", "Black Footed Albatross"),
                ("images/004.Groove_billed_Ani/c.jpg", "Groove Billed Ani"),
            ],
            &[("images/001.Black_footed_Albatross/b.jpg", "Black Footed Albatross")],
        ),
        (
            "cars",
            cars,
            &[
                ("cars_train/00001.jpg", "Acura Integra Type R 2001"),
                ("cars_train/00002.jpg", "AM General Hummer SUV 2000"),
            ],
            &[("cars_test/00001.jpg", "Acura RL Sedan 2012")],
        ),
        (
            "cars",
            cars_whole,
            &[("car_ims/000001.jpg", "Acura RL Sedan 2012")],
            &[("car_ims/000002.jpg", "AM General Hummer SUV 2000")],
        ),
        (
            "dogs",
            dogs,
            &[
                ("Images/n02085620-Chihuahua/n02085620_1.jpg", "Chihuahua"),
                ("Images/n02085936-Maltese_dog/n02085936_2.jpg", "Maltese Dog"),
            ],
            &[("Images/n02085936-Maltese_dog/n02085936_3.jpg", "Maltese Dog")],
        ),
        (
            "flowers",
            flowers,
            &[
                ("jpg/image_00001.jpg", "pink primrose"),
                ("jpg/image_00004.jpg", "bolero deep blue"),
                ("jpg/image_00003.jpg", "moon orchid"),
            ],
            &[("jpg/image_00002.jpg", "pink primrose"), ("jpg/image_00005.jpg", "blackberry lily")],
        ),
        (
            "pets",
            pets,
            &[
                ("images/Abyssinian_100.jpg", "Abyssinian"),
                ("images/american_bulldog_7.jpg", "American Bulldog"),
            ],
            &[("images/american_bulldog_203.jpg", "American Bulldog")],
        ),
        (
            "aircraft",
            aircraft,
            &[("data/images/0034309.jpg", "Boeing 727-200"), ("data/images/1025794.jpg", "Boeing 707-320")],
            &[("data/images/0056978.jpg", "Fokker 70")],
        ),
        (
            "folders",
            folders,
            &[("train/Scott_Oriole/1.jpg", "Scott Oriole"), ("val/Scott_Oriole/2.JPG", "Scott Oriole")],
            &[("test/Ani/3.png", "Ani")],
        ),
    ];
    for (layout, make, train, test) in layouts {
        let scratch = make();
        let expected = |rows: &[Row]| -> Vec<(String, String)> {
            rows.iter().map(|(name, label)| ((*name).to_owned(), (*label).to_owned())).collect()
        };
        assert_eq!(read(&scratch, "data", &[]), expected(train), "{layout}");
        assert_eq!(
            read(&scratch, "data", &["--layout", layout, "--part", "test"]),
            expected(test),
            "{layout}"
        );
        assert_eq!(read(&scratch, "data", &["--part", "all"]).len(), train.len() + test.len(), "{layout}");
    }
}

#[test]
fn the_released_split_and_lists_of_ones_own_choose_classes() {
    let names = |rows: Vec<(String, String)>| rows.into_iter().map(|(_, label)| label).collect::<Vec<_>>();
    let scratch = cub();
    assert_eq!(names(read(&scratch, "data", &["--classes", "seen"])), ["Black Footed Albatross"]);
    assert_eq!(names(read(&scratch, "data", &["--classes", "unseen"])), ["Groove Billed Ani"]);
    let scratch = aircraft();
    assert_eq!(names(read(&scratch, "data", &["--classes", "seen"])), ["Boeing 727-200"]);
    // The released evaluation files define the split; they may be given too.
    let line = r#"{"image_path": "x.jpg", "question": "?", "options": [], "ground_truth": "Boeing 707-320"}"#;
    let file = scratch.write("unseen.jsonl", line);
    assert_eq!(names(read(&scratch, "data", &["--classes", &file])), ["Boeing 707-320"]);
    let file = scratch.write("mine.txt", "727-200\n\nConcorde\n");
    assert_eq!(names(read(&scratch, "data", &["--classes", &file])), ["Boeing 727-200"]);
}

#[test]
fn tables_are_read_beside_their_pictures() {
    let scratch = folders();
    write(&scratch, "rows.csv", "image,label\ntrain/Scott_Oriole/1.jpg,\"Oriole, Scott's\"\n");
    let rows = read(&scratch, "data/rows.csv", &[]);
    assert_eq!(rows, [("train/Scott_Oriole/1.jpg".to_owned(), "Oriole, Scott's".to_owned())]);
    write(&scratch, "rows.jsonl", r#"{"image_path": "test/Ani/3.png", "ground_truth": "Ani"}"#);
    assert_eq!(read(&scratch, "data/rows.jsonl", &[]).len(), 1);
}

#[test]
fn data_that_is_not_what_it_should_be_is_refused_by_name() {
    let mut refusals = Refusals::default();
    let refuse = |refusals: &mut Refusals,
                  why: &str,
                  scratch: &Scratch,
                  data: &str,
                  flags: &[&str],
                  named: &[&str]| {
        let (data, out) = (scratch.arg(data), scratch.arg("out"));
        let typed =
            ["cot", "--teacher", "server", "--server-model", "m", "--server-url", "http://127.0.0.1:9"];
        let paths = ["--data", &data, "--out", &out];
        refusals.expect(why, typed.iter().chain(&paths).chain(flags), named);
        assert!(!scratch.at("out").exists(), "{why}: nothing was written");
    };
    let scratch = Scratch::new();
    refuse(&mut refusals, "nothing there", &scratch, "data", &[], &["data is missing"]);
    place(&scratch, &["1.jpg"]);
    refuse(&mut refusals, "no classes", &scratch, "data", &[], &["folder of pictures for every class"]);
    refuse(&mut refusals, "a picture as data", &scratch, "data/1.jpg", &[], &["1.jpg is a file"]);
    refuse(&mut refusals, "another layout", &pets(), "data", &["--layout", "cub"], &["classes.txt"]);
    refuse(&mut refusals, "no released split", &folders(), "data", &["--classes", "seen"], &["folders"]);
    refuse(&mut refusals, "no such file", &pets(), "data", &["--classes", "sen"], &["sen"]);
    let strange = folders();
    let file = strange.write("names.txt", "Concorde");
    refuse(&mut refusals, "no such class", &strange, "data", &["--classes", &file], &["1 wanted classes"]);
    refuse(&mut refusals, "captions", &pets(), "data", &["--kind", "caption"], &["--kind"]);
    refuse(
        &mut refusals,
        "words",
        &pets(),
        "data",
        &["--min-words", "9", "--max-words", "3"],
        &["--min-words"],
    );
    let nowhere = Scratch::new().arg("nowhere");
    refuse(
        &mut refusals,
        "no embedder",
        &pets(),
        "data",
        &["--concepts", &nowhere],
        &["nowhere is not a folder"],
    );
    let other = golden_checkpoint("qwen2_vl");
    refuse(
        &mut refusals,
        "no such embedder",
        &pets(),
        "data",
        &["--concepts", &other],
        &["qwen2_vl", "bert"],
    );
    let missing = pets();
    missing.remove("data/images/Abyssinian_100.jpg");
    refuse(&mut refusals, "a missing picture", &missing, "data", &[], &["1 of 2", "Abyssinian_100.jpg"]);
    for (file, length) in [("imagelabels.mat", 150), ("setid.mat", 200)] {
        let cut = flowers();
        cut.cut(&format!("data/{file}"), length);
        refuse(&mut refusals, "a cut file", &cut, "data", &[], &[file]);
    }
    let other = flowers();
    fs::copy(other.at("data/imagelabels.mat"), other.at("data/setid.mat")).expect("a copy");
    refuse(&mut refusals, "another variable", &other, "data", &[], &["setid.mat", "trnid", "labels"]);
    let short = cub();
    write(&short, "CUB_200_2011/train_test_split.txt", "1 1\n");
    refuse(&mut refusals, "a short list", &short, "data", &[], &["train_test_split.txt", "picture 2"]);
    let unlabelled = cars();
    unlabelled.remove("data/cars_test_annos_withlabels.mat");
    refuse(
        &mut refusals,
        "cars without labels",
        &unlabelled,
        "data",
        &["--part", "test"],
        &["cars_test_annos_withlabels.mat"],
    );
    refusals.check();
}
