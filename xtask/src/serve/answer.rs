//! What a browser gets.

use anyhow::Result;
use std::io::{self, Cursor, Read, Write};
use std::thread;
use std::time::Duration;
use tiny_http::{Header, Request, Response, StatusCode};

/// Long enough for a browser to hand on what it has received before the connection breaks.
const BEFORE_A_CUT: Duration = Duration::from_millis(400);
/// Longer than anyone waits who pressed Stop.
const STALLED: Duration = Duration::from_secs(30);

/// Status, headers and content.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Box<dyn Read + Send>,
    length: u64,
    /// After so many bytes nothing comes for a while, and then the connection breaks.
    cut: Option<(u64, Duration)>,
}

impl Answer {
    /// An answer without headers.
    #[must_use]
    pub fn new(status: u16, body: Box<dyn Read + Send>, length: u64) -> Self {
        Self { status, headers: Vec::new(), body, length, cut: None }
    }

    /// Bytes of a type.
    #[must_use]
    pub fn bytes(status: u16, kind: &str, bytes: Vec<u8>) -> Self {
        let length = bytes.len() as u64;
        let mut answer = Self::new(status, Box::new(Cursor::new(bytes)), length);
        answer.add("Content-Type", kind);
        answer
    }

    /// A short text for people.
    #[must_use]
    pub fn text(status: u16, text: &str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", format!("{text}\n").into_bytes())
    }

    /// There is no such file.
    #[must_use]
    pub fn missing() -> Self {
        Self::text(404, "there is no such file")
    }

    /// A file is there and cannot be read.
    #[must_use]
    pub fn broken(error: &anyhow::Error) -> Self {
        Self::text(500, &format!("{error:#}"))
    }

    /// Sets a header.
    pub fn add(&mut self, name: &str, value: &str) {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Breaks the connection after so many bytes.
    pub fn cut_after(&mut self, bytes: u64) {
        self.cut = Some((bytes, BEFORE_A_CUT));
    }

    /// Falls silent after so many bytes.
    pub fn stall_after(&mut self, bytes: u64) {
        self.cut = Some((bytes, STALLED));
    }

    /// Sends it.
    ///
    /// # Errors
    /// The content cannot be read; a browser that went away is none.
    pub fn send(self, request: Request) -> Result<()> {
        if let Some((bytes, silence)) = self.cut {
            return self.send_cut(request, bytes, silence);
        }
        let headers = self.headers.iter().filter_map(|(name, value)| {
            // Only text that stands in this program or comes from the command line.
            Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
        });
        let length = usize::try_from(self.length).ok();
        let response = Response::new(StatusCode(self.status), headers.collect(), self.body, length, None);
        // Browsers show progress only where the length is known, at any length.
        Ok(request.respond(response.with_chunked_threshold(usize::MAX))?)
    }

    /// The server below closes no connection on demand: a chunk that makes no sense has the browser
    /// close it, with everything before as good as received.
    fn send_cut(self, request: Request, bytes: u64, silence: Duration) -> Result<()> {
        let mut out = request.into_writer();
        let send = || -> io::Result<()> {
            write!(out, "HTTP/1.1 {} Cut\r\nTransfer-Encoding: chunked\r\n", self.status)?;
            for (name, value) in &self.headers {
                write!(out, "{name}: {value}\r\n")?;
            }
            let sent = bytes.min(self.length);
            write!(out, "\r\n{sent:x}\r\n")?;
            io::copy(&mut self.body.take(sent), &mut out)?;
            write!(out, "\r\n")?;
            out.flush()?;
            thread::sleep(silence);
            write!(out, "the connection is cut here\r\n")?;
            out.flush()
        };
        // The browser may be gone already.
        drop(send());
        Ok(())
    }
}
