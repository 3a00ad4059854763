//! A small server of static files on this machine alone, and on request one with faults for tests.
//!
//! ```text
//! request -> wanted (path, encodings, range) -> entity (a file, maybe compressed, maybe spoilt) -> answer
//! ```

mod answer;
mod entity;
mod faults;
mod policy;
mod range;
#[cfg(test)]
mod tests;
mod wanted;

use answer::Answer;
use anyhow::{Context, Result, bail};
use entity::Entity;
use faults::Faults;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tiny_http::{Method, Request, Server};
use wanted::Wanted;

/// Taken if it is free and the user names none.
const USUAL_PORT: u16 = 8080;
/// Answers at a time: a browser holds six connections, and tests open several.
const THREADS: usize = 16;

/// The server gives a connection that comes right after another to a thread that the other has taken already, and the
/// browser waits until some third connection ends. One that ends at once, so often, sets it free:
/// <https://github.com/tiny-http/tiny-http/blob/0.12.0/src/util/task_pool.rs>.
const KNOCK: Duration = Duration::from_millis(200);

/// What is served.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    policy: String,
    faults: Option<Faults>,
}

impl Site {
    /// A folder. Its page may also talk to the origins in `allowed`.
    #[must_use]
    pub fn new(root: PathBuf, allowed: &[String]) -> Self {
        Self { root, policy: policy::content_security_policy(allowed, None), faults: None }
    }

    /// A folder with faults below `/faults/`, and a log of requests and of what the policy forbade.
    #[must_use]
    pub fn with_faults(root: PathBuf) -> Self {
        let policy = policy::content_security_policy(&[], Some(faults::REPORTS));
        Self { root, policy, faults: Some(Faults::default()) }
    }

    fn answer(&self, request: &mut Request) -> Answer {
        let wanted = Wanted::of(request);
        let mut answer = match (&self.faults, request.method()) {
            (Some(faults), Method::Post) => faults.take_report(request),
            (_, Method::Get | Method::Head) => self.answer_get(&wanted),
            _ => Answer::text(405, "only GET and HEAD are answered"),
        };
        if let Some(faults) = &self.faults {
            faults.note(&wanted, answer.status);
        }
        answer.add("Content-Security-Policy", &self.policy);
        policy::HEADERS.iter().for_each(|(name, value)| answer.add(name, value));
        answer
    }

    fn answer_get(&self, wanted: &Wanted) -> Answer {
        match &self.faults {
            Some(faults) if wanted.path.starts_with(faults::FOLDER) => faults.answer(&self.root, wanted),
            _ => answer_file(&self.root, wanted),
        }
    }
}

fn answer_file(root: &Path, wanted: &Wanted) -> Answer {
    match Entity::open(root, &wanted.path, &wanted.encodings) {
        Ok(Some(entity)) => entity.answer(wanted),
        Ok(None) => Answer::missing(),
        Err(error) => Answer::broken(&error),
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The port is taken.
pub fn start(site: Site, port: Option<u16>) -> Result<String> {
    let listen = |port: u16| Server::http(("127.0.0.1", port));
    let server = match port {
        Some(port) => listen(port),
        None => listen(USUAL_PORT).or_else(|_| listen(0)),
    };
    let server = match server {
        Ok(server) => Arc::new(server),
        Err(error) => {
            bail!(
                "cannot listen on port {}: {error}\nhint: name another with --port",
                port.unwrap_or_default()
            )
        }
    };
    let address = server.server_addr().to_ip().context("the server has no address")?;
    let site = Arc::new(site);
    for _ in 0..THREADS {
        let (server, site) = (Arc::clone(&server), Arc::clone(&site));
        thread::spawn(move || {
            while let Ok(mut request) = server.recv() {
                let answer = site.answer(&mut request);
                if let Err(error) = answer.send(request) {
                    eprintln!("warning: a request was not answered: {error}");
                }
            }
        });
    }
    thread::spawn(move || {
        loop {
            thread::sleep(KNOCK);
            drop(TcpStream::connect(address));
        }
    });
    Ok(format!("http://{address}/"))
}
