//! `cot --teacher server`: failures that pass, failures that last, cuts and kills.

use crate::cot::{ask, done, json_file, passes, pictures};
use crate::cot_server::{Answer, ChatServer};
use crate::program::{Refusals, start, trainer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn failures_pass_and_nothing_is_asked_twice_in_vain() {
    let scratch = pictures(&["A", "B", "C", "D", "E", "F"], 1);
    let server = ChatServer::start(|asked| match (asked.label().as_str(), asked.before) {
        ("A", 0) => Answer::Status(429, "retry-after: 1\r\n"),
        ("B", 0) => Answer::HangUp,
        ("C", 0) => Answer::BreakOff,
        ("D", 0 | 1) => Answer::Status(503, ""),
        ("E", 0) => Answer::Nonsense,
        _ => passes(asked),
    });
    let run = trainer(ask(&scratch, &server, "out", &["--concurrency", "3"]));
    done(&run);
    assert_eq!(json_file(&scratch, "out/cot-report.json")["written"], 6);
    let mut times: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for asked in server.asked() {
        times.entry(asked.label()).or_default().push(asked.at);
    }
    let counts: Vec<usize> = times.values().map(Vec::len).collect();
    assert_eq!(counts, [2, 2, 2, 3, 2, 1], "{}", run.stderr);
    assert!(times["A"][1] - times["A"][0] >= Duration::from_secs(1), "the server's wish is granted");
    assert!(run.stderr.contains("the server answered 429: not now; asked again in 1.0 s"), "{}", run.stderr);

    // A second run finds all answers.
    let first = scratch.read("out/rationales.json");
    let run = trainer(ask(&scratch, &server, "out", &[]));
    done(&run);
    assert_eq!(server.asked().len(), 12);
    assert_eq!(scratch.read("out/rationales.json"), first);
    assert_eq!(json_file(&scratch, "out/cot-report.json")["cost"]["answers_kept"], 6);
}

/// Kills a run in the middle, several times; what was answered until then is not asked again, and the result is
/// that of an undisturbed run.
#[test]
fn a_killed_run_goes_on_where_it_was() {
    let scratch = pictures(&["A", "B", "C", "D"], 6);
    // The server answers so many questions and lets the others wait.
    let allowed = Arc::new(AtomicUsize::new(0));
    let (tickets, limit) = (AtomicUsize::new(0), Arc::clone(&allowed));
    let server = ChatServer::start(move |asked| {
        let ticket = tickets.fetch_add(1, Ordering::SeqCst);
        while ticket >= limit.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        passes(asked)
    });
    let recorded = || -> BTreeSet<String> {
        let text = fs::read_to_string(scratch.at("out/answers.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a line")["image"].to_string())
            .collect()
    };
    let flags = ["--concurrency", "2"];
    for (kills, goal) in [4, 11, 17].into_iter().enumerate() {
        // Two questions were open at every kill; their answers nobody heard.
        allowed.store(goal + 2 * kills, Ordering::SeqCst);
        let mut child = start(ask(&scratch, &server, "out", &flags));
        let begun = Instant::now();
        while recorded().len() < goal || server.asked().len() < goal + 2 * (kills + 1) {
            assert!(begun.elapsed() < Duration::from_secs(120), "the run makes progress");
            thread::sleep(Duration::from_millis(5));
        }
        child.kill().expect("it is still running");
        child.wait().expect("it ends");
        assert_eq!((recorded().len(), server.asked().len()), (goal, goal + 2 * (kills + 1)));
    }
    allowed.store(usize::MAX, Ordering::SeqCst);
    let (known, before) = (recorded().len(), server.asked().len());
    // A last line that a cut left incomplete.
    let answers = scratch.read("out/answers.jsonl");
    scratch.write("out/answers.jsonl", [answers.as_slice(), b"{\"key\": \"abc"].concat());
    let run = trainer(ask(&scratch, &server, "out", &flags));
    done(&run);
    assert_eq!(server.asked().len() - before, 24 - known, "only what was not answered is asked");
    done(&trainer(ask(&scratch, &server, "undisturbed", &flags)));
    for name in ["rationales.json", "rejected.jsonl", "dataset_info.json"] {
        assert_eq!(
            scratch.read(&format!("out/{name}")),
            scratch.read(&format!("undisturbed/{name}")),
            "{name}"
        );
    }
}

#[test]
fn a_server_that_will_not_answer_is_refused_with_its_reason() {
    let scratch = pictures(&["A", "B", "C", "D"], 1);
    let mut refusals = Refusals::default();
    let status = |status| ChatServer::start(move |_| Answer::Status(status, ""));
    refusals.expect("no key", ask(&scratch, &status(401), "o1", &[]), &["401", "not now", "--api-key-env"]);
    refusals.expect("no such model", ask(&scratch, &status(404), "o2", &[]), &["404", "--server-model"]);
    refusals.expect("bad requests", ask(&scratch, &status(400), "o3", &[]), &["400", "in a row"]);
    refusals.expect(
        "never well",
        ask(&scratch, &status(500), "o4", &["--retries", "1"]),
        &["2 tries", "kept"],
    );
    let patient = ChatServer::start(|_| Answer::Status(429, "retry-after: 86400\r\n"));
    refusals.expect("a day's rest", ask(&scratch, &patient, "o5", &[]), &["24:00:00"]);
    let unset = ["--api-key-env", "FINE_R1_TEST_KEY_THAT_NOBODY_SETS"];
    refusals.expect("an unset key", ask(&scratch, &patient, "o6", &unset), &[unset[1]]);
    let data = scratch.arg("pictures");
    let out = scratch.arg("o7");
    let nowhere = [
        "cot",
        "--teacher",
        "server",
        "--data",
        &data,
        "--out",
        &out,
        "--retries",
        "0",
        "--server-model",
        "m",
    ];
    refusals.expect("no address", nowhere, &["--server-url"]);
    refusals.expect("no scheme", nowhere.iter().chain(&["--server-url", "localhost:1"]), &["http://"]);
    refusals.expect(
        "nobody there",
        nowhere.iter().chain(&["--server-url", "http://127.0.0.1:9/v1"]),
        &["127.0.0.1:9"],
    );
    refusals.check();
}

#[test]
fn a_key_and_further_fields_go_with_every_request() {
    let scratch = pictures(&["A"], 1);
    let server = ChatServer::start(passes);
    // Any variable that is set will do, and PATH is.
    let fields = r#"{"max_tokens": null, "max_completion_tokens": 99, "top_p": 0.9}"#;
    done(&trainer(ask(&scratch, &server, "out", &["--api-key-env", "PATH", "--server-body", fields])));
    let asked = &server.asked()[0];
    let path = std::env::var("PATH").expect("it is set");
    assert_eq!(asked.authorization, Some(format!("Bearer {path}")));
    assert!(asked.body.get("max_tokens").is_none());
    assert_eq!((&asked.body["max_completion_tokens"], &asked.body["top_p"]), (&json!(99), &json!(0.9)));
    for name in ["answers.jsonl", "cot-report.json"] {
        assert!(
            !String::from_utf8(scratch.read(&format!("out/{name}"))).expect("UTF-8").contains(&path),
            "{name}"
        );
    }
}
