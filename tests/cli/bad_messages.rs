//! Conversations that make no sense are refused by the file and the place in it.

use crate::program::{Refusals, trainer};
use crate::scratch::{Scratch, golden_checkpoint, golden_image};
use std::fs;

#[test]
fn messages_of_the_wrong_form_name_file_and_place() {
    let model = golden_checkpoint("qwen2_5_vl-untied");
    let scratch = Scratch::new();
    fs::copy(golden_image("tiny.png"), scratch.at("tiny.png")).expect("a picture");
    scratch.write("text.png", "no picture");
    let image = r#"{"type": "image", "image": "tiny.png"}"#;
    let user = |content: &str| format!(r#"[{{"role": "user", "content": {content}}}]"#);
    let files: [(&str, String, &[&str]); 25] = [
        ("empty file", String::new(), &["JSON"]),
        ("no JSON", "user: hello".into(), &["JSON"]),
        ("cut short", r#"[{"role": "user""#.into(), &["JSON"]),
        ("empty list", "[]".into(), &["empty list"]),
        ("empty object", "{}".into(), &["messages"]),
        ("a number", "3".into(), &["3"]),
        ("a string as message", r#"["hello"]"#.into(), &["messages[0]"]),
        ("no content", r#"[{"role": "user"}]"#.into(), &["messages[0].content"]),
        ("no role", r#"[{"content": "x"}]"#.into(), &["messages[0].role"]),
        (
            "a role that is none",
            r#"[{"role": "pilot", "content": "x"}]"#.into(),
            &["messages[0].role", "pilot"],
        ),
        (
            "a tool",
            r#"[{"role": "user", "content": "x"}, {"role": "tool", "content": "x"}]"#.into(),
            &["messages[1].role", "tool"],
        ),
        ("a number as content", user("7"), &["messages[0].content", "7"]),
        ("a part that is a string", user(r#"["x"]"#), &["messages[0].content[0]"]),
        ("a part of no type", user(r#"[{"text": "x"}]"#), &["messages[0].content[0].type"]),
        (
            "a part of a strange type",
            user(r#"[{"type": "audio"}]"#),
            &["messages[0].content[0].type", "audio"],
        ),
        ("a video", user(r#"[{"type": "video", "video": "a.mp4"}]"#), &["messages[0].content[0]", "video"]),
        ("an image of no path", user(r#"[{"type": "image"}]"#), &["path"]),
        (
            "an image that is a number",
            user(r#"[{"type": "image", "image": 3}]"#),
            &["messages[0].content[0].image"],
        ),
        ("an image of an empty path", user(r#"[{"type": "image", "image": ""}]"#), &["empty path"]),
        (
            "an address",
            user(r#"[{"type": "image", "url": "https://example.org/a.png"}]"#),
            &["https://example.org/a.png", "nothing is fetched"],
        ),
        (
            "a data URL",
            user(r#"[{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]"#),
            &["data:image/png", "nothing is fetched"],
        ),
        ("an image that is absent", user(r#"[{"type": "image", "image": "absent.png"}]"#), &["absent.png"]),
        ("an image that is none", user(r#"[{"type": "image", "image": "text.png"}]"#), &["text.png"]),
        ("the image token in a text", user(r#""<|image_pad|>""#), &["image"]),
        (
            "the image token beside an image",
            user(&format!(r#"[{image}, {{"type": "text", "text": "<|image_pad|>"}}]"#)),
            &["image"],
        ),
    ];
    let mut refusals = Refusals::default();
    for (number, (why, text, words)) in files.iter().enumerate() {
        let path = scratch.write(&format!("messages-{number}.json"), text);
        // Of an image the image's own path is named.
        let named: Vec<&str> = words
            .iter()
            .copied()
            .chain(
                (!why.contains("that is absent") && !why.contains("that is none")).then_some(path.as_str()),
            )
            .collect();
        refusals.expect(why, ["recognize", "--messages", &path, "--model", &model], &named);
    }
    let missing = scratch.arg("missing.json");
    refusals.expect("a missing file", ["recognize", "--messages", &missing, "--model", &model], &[&missing]);
    refusals.expect(
        "a folder",
        ["recognize", "--messages", &scratch.dir(), "--model", &model],
        &[&scratch.dir()],
    );
    let latin = scratch.write("latin.json", b"[\"caf\xe9\"]");
    refusals.expect("no UTF-8", ["recognize", "--messages", &latin, "--model", &model], &[&latin]);
    let score = |path: &str, continuation: &str| {
        ["score", "--model", &model, "--messages", path, "--continuation", continuation].map(str::to_owned)
    };
    refusals.expect("score: a missing file", score(&missing, "x"), &[&missing]);
    let good = scratch.write("good.json", user("\"x\""));
    refusals.expect("score: nothing to score", score(&good, ""), &["continuation"]);
    refusals.check();
}

/// Both spellings of images, and paths relative to the file, wherever the program runs.
#[test]
fn other_spellings_of_images_are_read() {
    let model = golden_checkpoint("qwen2_5_vl-untied");
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("photos")).expect("a folder");
    fs::copy(golden_image("tiny.png"), scratch.at("photos/tiny.png")).expect("a picture");
    let ask = |part: &str| {
        let text = format!(
            r#"{{"messages": [{{"role": "user", "content": [{part}, {{"type": "text", "text": "What?"}}]}}]}}"#
        );
        let path = scratch.write("messages.json", text);
        let run =
            trainer(["recognize", "--messages", &path, "--model", &model, "--max-new-tokens", "4", "--json"]);
        run.json()["token_ids"].clone()
    };
    let expected = ask(r#"{"type": "image", "image": "photos/tiny.png"}"#);
    let with_mark =
        scratch.write("mark.json", [b"\xef\xbb\xbf".as_slice(), &scratch.read("messages.json")].concat());
    let typed = ["recognize", "--messages", &with_mark, "--model", &model, "--max-new-tokens", "4", "--json"];
    assert_eq!(trainer(typed).json()["token_ids"], expected, "a mark of the encoding");
    assert_eq!(ask(r#"{"type": "image", "url": "photos/tiny.png"}"#), expected);
    assert_eq!(ask(r#"{"type": "image", "path": "./photos/tiny.png"}"#), expected);
    assert_eq!(ask(r#"{"type": "image_url", "image_url": {"url": "photos/tiny.png"}}"#), expected);
    assert_eq!(ask(&format!(r#"{{"type": "image", "image": "{}"}}"#, golden_image("tiny.png"))), expected);
    let address = format!(r#"{{"type": "image", "image": "file://{}"}}"#, golden_image("tiny.png"));
    assert_eq!(ask(&address), expected);
}
