//! A server that speaks OpenAI's chat protocol as teacher: vLLM, SGLang, llama.cpp, Ollama, OpenAI itself.
//!
//! <https://platform.openai.com/docs/api-reference/chat/create>; the picture goes as a data URL,
//! <https://platform.openai.com/docs/guides/images-vision>.

use super::retry::retry_after;
use super::{Question, Reply, Retry, Teacher, TeacherError, Tokens, data_url};
use crate::progress::clock;
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime};
use ureq::http::header::RETRY_AFTER;

/// Longer than this nobody sits and waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// After so many refusals without an answer between them, the questions themselves are at fault.
const REFUSALS_IN_A_ROW: usize = 3;
/// Characters of a server's message that are shown.
const SHOWN_CHARACTERS: usize = 300;
/// No answer is longer.
const LARGEST_BODY_BYTES: u64 = 64 << 20;

/// How a server is reached.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The address before `/chat/completions`.
    pub url: String,
    /// What the server calls the model.
    pub model: String,
    /// The environment variable that holds the key; none is sent where there is no name.
    pub api_key_env: Option<String>,
    /// Fields that are added to every request; `null` takes one away.
    pub extra: Map<String, Value>,
    /// How long an answer may take.
    pub timeout_secs: u64,
    /// What is done when there is none.
    pub retry: Retry,
}

/// A connection to a server.
#[derive(Debug)]
pub struct ServerTeacher {
    agent: ureq::Agent,
    endpoint: String,
    authorization: Option<String>,
    options: ServerOptions,
    refusals: AtomicUsize,
}

/// Why a request has no answer.
enum Failure {
    /// Another try may have one.
    Passing { reason: String, wanted: Option<Duration> },
    /// This question gets none.
    Refused(String),
    /// No question gets one.
    Lasting(anyhow::Error),
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Said,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

impl ServerTeacher {
    /// Reads the key; the server is not asked anything yet.
    ///
    /// # Errors
    /// The address is none, or the key's variable is empty.
    pub fn new(options: ServerOptions) -> Result<Self> {
        let url = options.url.trim_end_matches('/');
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            bail!(
                "`{}` is no address of a server\nhint: it begins with http:// or https:// and often ends with /v1, as \
                 http://localhost:8000/v1",
                options.url
            );
        }
        let authorization = options
            .api_key_env
            .as_ref()
            .map(|name| match std::env::var(name) {
                Ok(key) if !key.trim().is_empty() => Ok(format!("Bearer {}", key.trim())),
                _ => Err(anyhow!(
                    "the environment variable {name} has no key\nhint: export {name}=…, or leave out --api-key-env"
                )),
            })
            .transpose()?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(options.timeout_secs)))
            .user_agent(concat!("trainer-native/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        let endpoint = format!("{url}/chat/completions");
        Ok(Self { agent, endpoint, authorization, options, refusals: AtomicUsize::new(0) })
    }

    fn body(&self, question: &Question) -> Result<String> {
        let mut body = json!({
            "model": self.options.model,
            "messages": [{
                "role": "user",
                "content": [
                    { "type": "image_url", "image_url": { "url": data_url(&question.image)? } },
                    { "type": "text", "text": question.prompt },
                ],
            }],
            "temperature": question.temperature,
            "max_tokens": question.max_new_tokens,
            // Servers keep seeds in 64 bits with a sign.
            "seed": question.seed >> 1,
        });
        if let Some(fields) = body.as_object_mut() {
            for (name, value) in &self.options.extra {
                match value {
                    Value::Null => drop(fields.shift_remove(name)),
                    _ => drop(fields.insert(name.clone(), value.clone())),
                }
            }
        }
        Ok(body.to_string())
    }

    fn request(&self, body: &str) -> Result<Reply, Failure> {
        let mut request = self.agent.post(&self.endpoint).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let wanted = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|header| header.to_str().ok())
            .and_then(|header| retry_after(header, SystemTime::now()));
        let text = response
            .body_mut()
            .with_config()
            .limit(LARGEST_BODY_BYTES)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        if status == 200 {
            return parse(&text).map_err(|reason| Failure::Passing { reason, wanted });
        }
        let reason = format!("the server answered {status}: {}", shown(&text));
        Err(match status {
            401 | 403 => Failure::Lasting(anyhow!(
                "{}: {reason}\nhint: --api-key-env names the environment variable that holds the key",
                self.endpoint
            )),
            404 => Failure::Lasting(anyhow!(
                "{}: {reason}\nhint: check --server-url, which often ends with /v1, and --server-model",
                self.endpoint
            )),
            408 | 409 | 425 | 429 | 500..=599 => Failure::Passing { reason, wanted },
            _ => Failure::Refused(reason),
        })
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        use ureq::Error;
        match error {
            Error::Io(_)
            | Error::Timeout(_)
            | Error::Protocol(_)
            | Error::HostNotFound
            | Error::ConnectionFailed => Failure::Passing { reason: error.to_string(), wanted: None },
            _ => Failure::Lasting(anyhow!("{}: {error}\nhint: check --server-url", self.endpoint)),
        }
    }

    fn persist(&self, question: &Question, body: &str) -> Result<Reply, TeacherError> {
        let retry = self.options.retry;
        let mut tries = 0;
        loop {
            let (reason, wanted) = match self.request(body) {
                Ok(reply) => return Ok(reply),
                Err(Failure::Refused(reason)) => return Err(TeacherError::Refused(reason)),
                Err(Failure::Lasting(error)) => return Err(error.into()),
                Err(Failure::Passing { reason, wanted }) => (reason, wanted),
            };
            tries += 1;
            let pause = retry.pause(tries, wanted, question.seed);
            let gives_up = if tries > retry.retries {
                Some(format!("no answer after {tries} tries"))
            } else if pause > LONGEST_WAIT {
                Some(format!("the server asks to wait {}", clock(pause)))
            } else {
                None
            };
            if let Some(why) = gives_up {
                return Err(TeacherError::Failed(anyhow!(
                    "{}: {why}: {reason}\nhint: check --server-url, or run the same command again later; what was \
                     answered is kept and not asked again",
                    self.endpoint
                )));
            }
            eprintln!(
                "server: {reason}; asked again in {:.1} s (retry {tries} of {})",
                pause.as_secs_f64(),
                retry.retries
            );
            sleep(pause);
        }
    }
}

impl Teacher for ServerTeacher {
    fn name(&self) -> String {
        let extra = if self.options.extra.is_empty() {
            String::new()
        } else {
            format!(" {}", Value::Object(self.options.extra.clone()))
        };
        format!("server {}{extra}", self.options.model)
    }

    fn ask(&self, question: &Question) -> Result<Reply, TeacherError> {
        let body = self.body(question).context("a question to the server")?;
        match self.persist(question, &body) {
            Err(TeacherError::Refused(reason)) => {
                let refusals = self.refusals.fetch_add(1, Ordering::Relaxed) + 1;
                if refusals >= REFUSALS_IN_A_ROW {
                    return Err(TeacherError::Failed(anyhow!(
                        "{}: {refusals} questions in a row were refused: {reason}\nhint: check --server-model, and \
                         fields of the request with --server-body",
                        self.endpoint
                    )));
                }
                Err(TeacherError::Refused(reason))
            }
            result => {
                self.refusals.store(0, Ordering::Relaxed);
                result
            }
        }
    }
}

fn parse(text: &str) -> Result<Reply, String> {
    let unreadable = |reason: String| format!("the answer cannot be read: {reason}: {}", shown(text));
    let completion: Completion = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    let choice =
        completion.choices.into_iter().next().ok_or_else(|| unreadable("it has no choices".to_owned()))?;
    let usage = completion.usage.unwrap_or_default();
    Ok(Reply {
        text: choice.message.content.unwrap_or_default(),
        complete: choice.finish_reason.as_deref() != Some("length"),
        tokens: Tokens { prompt: usage.prompt_tokens, completion: usage.completion_tokens },
    })
}

/// The beginning of a server's message, on one line.
fn shown(text: &str) -> String {
    let message = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|value| value.pointer("/error/message")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| text.to_owned());
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(SHOWN_CHARACTERS).collect()
}
