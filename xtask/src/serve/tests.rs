//! The server as a browser meets it.

use super::{Site, start};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use tempfile::TempDir;

/// A folder with a page, a compressed form of it, and a model.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("models")).expect("a folder");
    for (name, text) in [
        ("index.html", "<p>page</p>"),
        ("index.html.br", "brotli"),
        ("models/model.safetensors", "0123456789"),
        (".secret", "secret"),
    ] {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

/// Asks and returns all that comes until the server ends the connection.
fn ask(url: &str, path: &str, headers: &str) -> String {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

#[test]
fn files_come_with_types_encodings_and_policy() {
    let folder = folder();
    let url = start(Site::new(folder.path().to_owned(), &[]), Some(0)).expect("it starts");
    let page = ask(&url, "/", "");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.ends_with("\r\n\r\n<p>page</p>"), "{page}");
    for header in ["Content-Type: text/html", "Content-Length: 11", "X-Content-Type-Options: nosniff"] {
        assert!(page.contains(header), "{header}\n{page}");
    }
    assert!(page.contains("Content-Security-Policy: default-src 'self';"), "{page}");
    let encoded = ask(&url, "/index.html?query", "Accept-Encoding: gzip, br\r\n");
    assert!(encoded.contains("Content-Encoding: br") && encoded.ends_with("\r\n\r\nbrotli"), "{encoded}");
    let version = page.lines().find_map(|line| line.strip_prefix("ETag: ")).expect("a version");
    let known = ask(&url, "/", &format!("If-None-Match: {version}\r\n"));
    assert!(known.starts_with("HTTP/1.1 304 "), "{known}");
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let folder = folder();
    let url = start(Site::new(folder.path().to_owned(), &[]), Some(0)).expect("it starts");
    for path in ["/absent", "/.secret", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "/models", "/faults/blank"] {
        let answer = ask(&url, path, "");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[test]
fn a_download_can_go_on() {
    let folder = folder();
    let url = start(Site::new(folder.path().to_owned(), &[]), Some(0)).expect("it starts");
    let rest = ask(&url, "/models/model.safetensors", "Range: bytes=6-\r\n");
    assert!(rest.starts_with("HTTP/1.1 206 ") && rest.ends_with("\r\n\r\n6789"), "{rest}");
    assert!(rest.contains("Content-Range: bytes 6-9/10"), "{rest}");
    let beyond = ask(&url, "/models/model.safetensors", "Range: bytes=10-\r\n");
    assert!(beyond.starts_with("HTTP/1.1 416 "), "{beyond}");
    let changed = ask(&url, "/models/model.safetensors", "Range: bytes=6-\r\nIf-Range: \"other\"\r\n");
    assert!(changed.starts_with("HTTP/1.1 200 "), "{changed}");
}

#[test]
fn faults_are_what_they_promise() {
    let folder = folder();
    let url = start(Site::with_faults(folder.path().to_owned()), Some(0)).expect("it starts");
    let model = "models/model.safetensors";
    let hash = ask(&url, &format!("/faults/hash/{model}"), "");
    assert!(hash.ends_with("\r\n\r\n0123456788"), "{hash}");
    let missing = ask(&url, &format!("/faults/missing/{model}"), "");
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    let cut = ask(&url, &format!("/faults/cut/4/{model}"), "");
    assert!(cut.contains("\r\n\r\n4\r\n0123\r\nthe connection"), "{cut}");
    let again = ask(&url, &format!("/faults/cut/4/{model}"), "Range: bytes=4-\r\n");
    assert!(again.ends_with("\r\n\r\n456789"), "{again}");
    let log = ask(&url, "/faults/log", "");
    assert!(log.contains(r#""range":"bytes=4-","status":206"#), "{log}");
}
