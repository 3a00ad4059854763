//! `cot`: chains of thought from teachers, filtered, with everything that was paid for kept.

use crate::cot_server::{Answer, Asked, ChatServer, rationale, rationale_of};
use crate::program::{Run, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

const GERMAN: &str = "Der Vogel hat einen leuchtend gelben Bauch und eine schwarze Haube, die bis zur Brust reicht, \
    während seine Flügel zwei weiße Binden zeigen und sein Schnabel lang und dünn ist. Alle anderen haben einen braunen \
    Rücken, der hier nicht zu sehen ist.";

/// `pictures/<class>/<number>.png`
pub fn pictures(classes: &[&str], each: usize) -> Scratch {
    let scratch = Scratch::new();
    for class in classes {
        fs::create_dir_all(scratch.at(&format!("pictures/{class}"))).expect("a folder");
        for number in 0..each {
            let path = scratch.at(&format!("pictures/{class}/{number}.png"));
            fs::copy(golden_image("tiny.png"), path).expect("a picture");
        }
    }
    scratch
}

pub fn ask(scratch: &Scratch, server: &ChatServer, out: &str, flags: &[&str]) -> Vec<String> {
    let (data, out, url) = (scratch.arg("pictures"), scratch.arg(out), server.url());
    let fixed = ["cot", "--teacher", "server", "--server-model", "teacher-7b", "--retry-pause-ms", "20"];
    let paths = ["--data", &data, "--out", &out, "--server-url", &url];
    fixed.iter().chain(&paths).chain(flags).map(|word| (*word).to_owned()).collect()
}

pub fn done(run: &Run) {
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}\n{}", run.typed, run.stderr);
}

pub fn json_file(scratch: &Scratch, name: &str) -> Value {
    serde_json::from_slice(&scratch.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn json_lines(scratch: &Scratch, name: &str) -> Vec<Value> {
    let text = String::from_utf8(scratch.read(name)).expect("UTF-8");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

pub fn passes(asked: &Asked) -> Answer {
    Answer::Say(rationale(&asked.label()))
}

#[test]
fn a_server_writes_what_llama_factory_reads() {
    let scratch = pictures(&["Scott_Oriole", "Groove billed Ani"], 3);
    let server = ChatServer::start(passes);
    let flags = ["--shots", "2", "--super-category", "bird", "--image-root", "birds", "--seed", "4"];
    let run = trainer(ask(&scratch, &server, "out", &flags));
    done(&run);

    let records = json_file(&scratch, "out/rationales.json");
    let records = records.as_array().expect("a list");
    assert_eq!(records.len(), 4);
    for record in records {
        let image = record["images"][0].as_str().expect("a path");
        let label =
            if image.starts_with("birds/Scott_Oriole/") { "Scott Oriole" } else { "Groove billed Ani" };
        let [user, assistant] = &record["messages"].as_array().expect("a list")[..] else {
            panic!("two messages")
        };
        assert_eq!((&user["role"], &assistant["role"]), (&json!("user"), &json!("assistant")));
        let question = user["content"].as_str().expect("a text");
        assert!(question.starts_with("<image>") && question.matches("<image>").count() == 1, "{question}");
        assert!(question.contains("bird") && question.contains("<think>"), "{question}");
        let answer = assistant["content"].as_str().expect("a text");
        assert!(answer.starts_with("<think>Analysis of Visual Features:\n"), "{answer}");
        assert!(answer.ends_with(&format!("</think>\n<answer>{label}</answer>")), "{answer}");
        assert!(!answer.contains("<options>"), "{answer}");
    }
    let info = json_file(&scratch, "out/dataset_info.json");
    assert_eq!(info["rationales"]["file_name"], "rationales.json");
    assert_eq!(info["rationales"]["tags"]["assistant_tag"], "assistant");

    let report = json_file(&scratch, "out/cot-report.json");
    assert_eq!(
        (&report["images"], &report["classes"], &report["written"]),
        (&json!(4), &json!(2), &json!(4))
    );
    assert_eq!(report["cost"]["tokens"]["rationale"], json!({ "prompt": 400, "completion": 80 }));
    assert_eq!(report["attempts"], json!([4, 0, 0, 0]));
    assert_eq!(report["rejections"], json!({}));
    assert_eq!(scratch.read("out/rejected.jsonl"), b"");

    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    for asked in asked {
        assert!(asked.picture().starts_with("data:image/png;base64,"));
        assert_eq!((asked.authorization.as_deref(), &asked.body["model"]), (None, &json!("teacher-7b")));
        assert_eq!((&asked.body["max_tokens"], &asked.body["temperature"]), (&json!(2048), &json!(1.0)));
    }
}

#[test]
fn what_does_not_pass_is_asked_anew_counted_and_kept_aside() {
    let classes = [
        "cut",
        "malformed",
        "many",
        "twice",
        "absent",
        "wrong",
        "short",
        "german",
        "told",
        "numbered",
        "never",
    ];
    let scratch = pictures(&classes, 1);
    let server = ChatServer::start(|asked| {
        let label = asked.label();
        let good = rationale(&label);
        let inside = |part: &str| {
            let (_, rest) = good.split_once(&format!("<{part}>")).expect("it begins");
            rest.split_once(&format!("</{part}>")).expect("it ends").0
        };
        let (analysis, comparison) = (inside("analysis"), inside("comparison"));
        Answer::Say(match label.as_str() {
            "cut" => return Answer::Cut(good),
            "malformed" => good.replace("</comparison>", ""),
            "many" => rationale_of(&label, &[&label, "1a", "2b", "3c", "4d"]),
            "twice" => rationale_of(&label, &[&label, "Other", "other"]),
            "absent" => rationale_of(&label, &["Other", "Another"]),
            "wrong" => rationale("Hooded Oriole"),
            "short" => good.replace(analysis, "Yellow."),
            "german" => good.replace(comparison, GERMAN),
            "told" => good.replace("The others", "According to the prompt it is this. The others"),
            "numbered" => good.replace("The others", "The second candidate and the others"),
            _ => "no".to_owned(),
        })
    });
    let flags = ["--attempts", "2", "--concurrency", "4"];
    let run = trainer(ask(&scratch, &server, "out", &flags));
    // Nothing passed: that is an error, and the side file says why.
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("hint: ") && run.stderr.contains("rejected.jsonl"), "{}", run.stderr);
    let rejected = json_lines(&scratch, "out/rejected.jsonl");
    assert_eq!(rejected.len(), 22);
    let reasons: BTreeMap<&str, &str> = rejected
        .iter()
        .map(|row| (row["label"].as_str().expect("a label"), row["reason"].as_str().expect("a reason")))
        .collect();
    let expected = [
        ("absent", "label_not_candidate"),
        ("cut", "cut_short"),
        ("german", "language"),
        ("malformed", "malformed"),
        ("many", "candidate_count"),
        ("never", "malformed"),
        ("numbered", "candidates_numbered"),
        ("short", "length"),
        ("told", "label_given_away"),
        ("twice", "candidate_twice"),
        ("wrong", "prediction_differs"),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
    assert!(rejected.iter().all(|row| row["detail"].as_str().is_some_and(|detail| !detail.is_empty())));
}

#[test]
fn a_second_attempt_may_pass() {
    let scratch = pictures(&["A", "B"], 2);
    let wrong = std::sync::Mutex::new(BTreeSet::new());
    // The first question about a label is answered wrongly, whichever of its pictures it is about.
    let server = ChatServer::start(move |asked| {
        let is_first = wrong.lock().expect("no panic inside").insert(asked.label());
        if is_first { Answer::Say(rationale("C")) } else { passes(asked) }
    });
    done(&trainer(ask(&scratch, &server, "out", &["--concurrency", "1"])));
    let report = json_file(&scratch, "out/cot-report.json");
    assert_eq!(report["attempts"], json!([2, 2, 0, 0]));
    assert_eq!(report["rejections"], json!({ "prediction_differs": 2 }));
    assert_eq!((&report["written"], &report["left_out"]), (&json!(4), &json!(0)));
    let rejected = json_lines(&scratch, "out/rejected.jsonl");
    assert!(rejected.iter().all(|row| row["attempt"] == 1 && row["text"].as_str().is_some()));
}

#[test]
fn the_true_name_stands_anywhere_or_where_the_teacher_put_it() {
    let scratch = pictures(&["A", "B", "C", "D"], 20);
    let server = ChatServer::start(passes);
    done(&trainer(ask(&scratch, &server, "out", &["--seed", "9"])));
    let places = &json_file(&scratch, "out/cot-report.json")["truth_places"];
    let counts: Vec<u64> = places.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
    assert_eq!((counts.len(), counts.iter().sum::<u64>()), (4, 80));
    // Four standard deviations of a binomial count of 20.
    assert!(counts.iter().all(|count| count.abs_diff(20) < 16), "{counts:?}");
    for record in json_file(&scratch, "out/rationales.json").as_array().expect("a list") {
        let answer = record["messages"][1]["content"].as_str().expect("a text");
        let (_, list) = answer.split_once("Candidate Subcategories:\n").expect("a list");
        let (list, _) = list.split_once("\n\n").expect("an end");
        assert_eq!(list.lines().count(), 4, "{answer}");
    }

    let flags = ["--seed", "9", "--candidate-order", "teacher", "--form", "released"];
    done(&trainer(ask(&scratch, &server, "parity", &flags)));
    let report = json_file(&scratch, "parity/cot-report.json");
    assert_eq!(report["truth_places"], json!([80]));
    let records = json_file(&scratch, "parity/rationales.json");
    let messages = records[0]["messages"].as_array().expect("a list");
    let roles: Vec<&Value> = messages.iter().map(|message| &message["role"]).collect();
    assert_eq!(roles, ["system", "user", "assistant"]);
    assert!(
        messages[0]["content"].as_str().is_some_and(|text| text.starts_with("A conversation between User"))
    );
    assert!(messages[1]["content"].as_str().is_some_and(|text| !text.contains("<think>")));
    assert!(messages[2]["content"].as_str().is_some_and(|text| text.contains("</think>\n\n<answer>")));
}

#[test]
fn a_local_checkpoint_is_asked_once() {
    let scratch = pictures(&["A", "B"], 1);
    let (data, out, model) = (scratch.arg("pictures"), scratch.arg("out"), golden_checkpoint("qwen2_vl"));
    let typed =
        ["cot", "--teacher", "local", "--model", &model, "--data", &data, "--out", &out, "--attempts", "2"];
    let typed = typed.iter().chain(&["--max-new-tokens", "5"]);
    // A tiny random checkpoint writes no rationale; what it wrote is kept.
    let run = trainer(typed.clone());
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("none of 4 texts about 2 images"), "{}", run.stderr);
    let answers = scratch.read("out/answers.jsonl");
    let rows = json_lines(&scratch, "out/answers.jsonl");
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let tokens = row["tokens"]["completion"].as_u64().expect("a count");
        assert!((1..=5).contains(&tokens) && (tokens == 5 || row["complete"] == true), "{row}");
    }
    let texts: BTreeSet<String> = rows.iter().map(|row| row["text"].to_string()).collect();
    assert!(texts.len() > 1, "attempts differ");
    let run = trainer(typed);
    assert!(run.stderr.contains("4 answers of earlier runs"), "{}", run.stderr);
    assert_eq!(scratch.read("out/answers.jsonl"), answers);

    // Other weights, wherever they lie, are another teacher.
    let other = Scratch::checkpoint("qwen2_vl");
    let same = [
        "cot",
        "--teacher",
        "local",
        "--model",
        &other.dir(),
        "--data",
        &data,
        "--out",
        &out,
        "--attempts",
        "2",
    ];
    let same = || trainer(same.iter().chain(&["--max-new-tokens", "5"]));
    same();
    assert_eq!(json_lines(&scratch, "out/answers.jsonl").len(), 4, "a copy is the same teacher");
    let mut weights = other.read("model.safetensors");
    *weights.last_mut().expect("weights") ^= 1;
    other.write("model.safetensors", weights);
    same();
    assert_eq!(json_lines(&scratch, "out/answers.jsonl").len(), 8);
}

/// What is said of a picture goes through the embedder, and what stands out into the next question.
#[test]
fn concepts_are_chosen_and_asked_about() {
    let scratch = pictures(&["Alpha", "Beta", "Gamma"], 1);
    let server = ChatServer::start(|asked| {
        if asked.wants_description() {
            let own = match asked.label().as_str() {
                "Alpha" => "black hood",
                "Beta" => "orange breast",
                _ => "high tail",
            };
            return Answer::Say(format!(
                "- {own}\n- two white bars on each wing\n- a bird\n- the {} itself",
                asked.label()
            ));
        }
        passes(asked)
    });
    let embedder = fine_r1_tests::golden("sentence").to_str().expect("a UTF-8 path").to_owned();
    done(&trainer(ask(&scratch, &server, "out", &["--concepts", &embedder, "--descriptions", "2"])));
    let rows = json_lines(&scratch, "out/concepts.jsonl");
    assert_eq!(rows.len(), 3);
    for row in &rows {
        let concepts = row["concepts"].as_array().expect("a list");
        assert_eq!(concepts.len(), 3, "three are kept at least");
        let scores: Vec<f64> =
            concepts.iter().map(|concept| concept["score"].as_f64().expect("a score")).collect();
        assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]) && scores[0] < 0.0, "{scores:?}");
    }
    let asked = server.asked();
    assert_eq!(asked.iter().filter(|asked| asked.wants_description()).count(), 6);
    for asked in asked.iter().filter(|asked| !asked.wants_description()) {
        let row = rows.iter().find(|row| row["label"] == asked.label()).expect("a row");
        for concept in row["concepts"].as_array().expect("a list") {
            assert!(asked.prompt().contains(concept["text"].as_str().expect("a text")), "{}", asked.prompt());
        }
        assert!(!asked.prompt().contains("itself"));
    }
    let report = json_file(&scratch, "out/cot-report.json");
    assert_eq!(report["concepts"]["mean"], 3.0);
    assert_eq!(report["cost"]["tokens"]["description"], json!({ "prompt": 600, "completion": 120 }));
}
