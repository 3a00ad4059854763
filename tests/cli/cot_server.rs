//! A server of OpenAI's chat protocol that fails on demand, and remembers what it was asked.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// A question that arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    /// All of the request.
    pub body: Value,
    /// The header.
    pub authorization: Option<String>,
    /// How often the same question had arrived before.
    pub before: usize,
    /// When it arrived.
    pub at: Instant,
}

impl Asked {
    /// The text of the question.
    pub fn prompt(&self) -> &str {
        self.body["messages"][0]["content"][1]["text"].as_str().expect("a text beside the picture")
    }

    /// The picture.
    pub fn picture(&self) -> &str {
        self.body["messages"][0]["content"][0]["image_url"]["url"].as_str().expect("a picture")
    }

    /// The true name that the question tells.
    pub fn label(&self) -> String {
        let (_, rest) = self.prompt().split_once("in this picture is: ").expect("the prompt tells the label");
        rest.split_once(".\n").expect("a sentence").0.to_owned()
    }

    /// Whether a description is wanted, and not a rationale.
    pub fn wants_description(&self) -> bool {
        !self.prompt().contains("<analysis>")
    }

    /// What makes it the same question.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.body["seed"], self.prompt(), self.picture())
    }
}

/// What the server does.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Says it.
    Say(String),
    /// Says it and breaks off at the limit of tokens.
    Cut(String),
    /// Another status, with these headers.
    Status(u16, &'static str),
    /// Closes the connection without a word.
    HangUp,
    /// Closes it in the middle of an answer.
    BreakOff,
    /// 200, but no JSON.
    Nonsense,
}

/// A rationale that passes every filter, the label first among four names.
pub fn rationale(label: &str) -> String {
    rationale_of(label, &[label, "Hooded Oriole", "Orchard Oriole", "Baltimore Oriole"])
}

/// The same with other candidates.
pub fn rationale_of(label: &str, candidates: &[&str]) -> String {
    format!(
        "<analysis>\nThe picture shows an animal with a dark hood, a bright yellow belly and two white bars on each wing. \
         The bill is long, thin and slightly curved towards its end.\n</analysis>\n<options>\n{}\n</options>\n\
         <comparison>\nThe Hooded Oriole has an orange hood, while the hood in this picture is dark. The others have a \
         brown back, which cannot be seen here.\n</comparison>\n<prediction>\n{label}\n</prediction>",
        candidates.join("\n")
    )
}

type Behaviour = dyn Fn(&Asked) -> Answer + Send + Sync;

/// Runs until it is dropped.
pub struct ChatServer {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    behaviour: Box<Behaviour>,
    asked: Mutex<Vec<Asked>>,
    counts: Mutex<HashMap<String, usize>>,
}

impl ChatServer {
    /// Answers as told.
    pub fn start(behaviour: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State {
            behaviour: Box::new(behaviour),
            asked: Mutex::default(),
            counts: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that was killed leaves a broken connection behind, which is no failure of a test.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { address, state }
    }

    /// The address for `--server-url`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What it was asked until now.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("no test panics inside").clone()
    }
}

fn serve(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    while let Some((authorization, body)) = request(&mut reader)? {
        let mut asked = Asked { body, authorization, before: 0, at: Instant::now() };
        {
            let mut counts = state.counts.lock().expect("no test panics inside");
            let count = counts.entry(asked.key()).or_default();
            asked.before = *count;
            *count += 1;
        }
        state.asked.lock().expect("no test panics inside").push(asked.clone());
        let (status, headers, text) = match (state.behaviour)(&asked) {
            Answer::Say(text) => (200, "", completion(&text, "stop")),
            Answer::Cut(text) => (200, "", completion(&text, "length")),
            Answer::Status(status, headers) => {
                (status, headers, json!({ "error": { "message": "not\nnow" } }).to_string())
            }
            Answer::Nonsense => (200, "", "{\"choices\": [".to_owned()),
            Answer::HangUp => return Ok(()),
            Answer::BreakOff => {
                writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{\"choices\": ")?;
                return writer.flush();
            }
        };
        let length = text.len();
        write!(
            writer,
            "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{text}"
        )?;
        writer.flush()?;
    }
    Ok(())
}

/// Authorization and body of the next request on a connection.
fn request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<(Option<String>, Value)>> {
    let (mut first, mut authorization, mut length) = (String::new(), None, 0);
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    assert_eq!(first.trim(), "POST /v1/chat/completions HTTP/1.1");
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.to_owned()),
            "content-length" => length = value.parse().expect("a length"),
            "transfer-encoding" => panic!("bodies come with their length"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some((authorization, serde_json::from_slice(&body).expect("a body of JSON"))))
}

fn completion(text: &str, finish_reason: &str) -> String {
    json!({
        "id": "1",
        "object": "chat.completion",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": finish_reason }],
        "usage": { "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120 },
    })
    .to_string()
}
