//! A file as it is served: its type, its encoding, its version.

use super::answer::Answer;
use super::range::{self, Part};
use super::wanted::Wanted;
use anyhow::Result;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Encodings by preference, with the endings of files that have them.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Something that can be read from any place.
pub trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A file that is there.
pub struct Entity {
    source: Box<dyn Source>,
    length: u64,
    kind: &'static str,
    encoding: Option<&'static str>,
    version: String,
}

impl Entity {
    /// Opens the file that a path names, in the first encoding that the browser takes.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(root: &Path, path: &str, encodings: &[String]) -> Result<Option<Self>> {
        let Some(mut file) = locate(root, path) else { return Ok(None) };
        if file.is_dir() {
            // Relative addresses of a page hold only below a slash.
            if !path.ends_with('/') {
                return Ok(None);
            }
            file.push("index.html");
        }
        let kind = kind_of(&file);
        for (encoding, ending) in ENCODINGS {
            if encodings.iter().any(|taken| taken == encoding) {
                let mut encoded = file.clone().into_os_string();
                encoded.push(ending);
                if let Some(entity) = Self::read(Path::new(&encoded), kind, Some(encoding))? {
                    return Ok(Some(entity));
                }
            }
        }
        Self::read(&file, kind, None)
    }

    fn read(path: &Path, kind: &'static str, encoding: Option<&'static str>) -> Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let facts = file.metadata()?;
        let changed = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let version = format!("\"{:x}-{changed:x}{}\"", facts.len(), encoding.unwrap_or_default());
        Ok(Some(Self { source: Box::new(file), length: facts.len(), kind, encoding, version }))
    }

    /// The same with other content.
    #[must_use]
    pub fn with_bytes(self, bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, source: Box::new(Cursor::new(bytes)), ..self }
    }

    /// The same without its last bytes.
    #[must_use]
    pub fn shortened(mut self, bytes: u64) -> Self {
        self.length = self.length.saturating_sub(bytes);
        self
    }

    /// All of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn content(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.source.rewind()?;
        self.source.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All of it, a part, or word that the browser has it already.
    #[must_use]
    pub fn answer(mut self, wanted: &Wanted) -> Answer {
        let versions = wanted.if_none_match.as_deref().unwrap_or_default();
        if versions.split(',').any(|version| version.trim().trim_start_matches("W/") == self.version) {
            return self.with_headers(Answer::new(304, Box::new(Cursor::new(Vec::new())), 0));
        }
        let is_current = wanted.if_range.as_deref().is_none_or(|version| version == self.version);
        let range = wanted.range.as_deref().filter(|_| is_current);
        let (first, length, status) = match range::parse(range, self.length) {
            Part::Whole => (0, self.length, 200),
            Part::Bytes { first, last } => (first, last - first + 1, 206),
            Part::Outside => {
                let mut answer = Answer::text(416, "the file ends before that");
                answer.add("Content-Range", &format!("bytes */{}", self.length));
                return answer;
            }
        };
        if let Err(error) = self.source.seek(SeekFrom::Start(first)) {
            return Answer::broken(&error.into());
        }
        let total = self.length;
        let source = std::mem::replace(&mut self.source, Box::new(Cursor::new(Vec::new())));
        let mut answer = self.with_headers(Answer::new(status, Box::new(source.take(length)), length));
        if status == 206 {
            let last = first + length - 1;
            answer.add("Content-Range", &format!("bytes {first}-{last}/{total}"));
        }
        answer
    }

    fn with_headers(&self, mut answer: Answer) -> Answer {
        answer.add("Content-Type", self.kind);
        answer.add("ETag", &self.version);
        // Kept, but asked about each time: a page that was built anew is seen at once.
        answer.add("Cache-Control", "no-cache");
        answer.add("Accept-Ranges", "bytes");
        answer.add("Vary", "Accept-Encoding");
        if let Some(encoding) = self.encoding {
            answer.add("Content-Encoding", encoding);
        }
        answer
    }
}

/// The path of a file inside the folder; `None` for names that lead out of it.
fn locate(root: &Path, path: &str) -> Option<PathBuf> {
    let mut file = root.to_path_buf();
    for name in path.trim_matches('/').split('/').filter(|name| !name.is_empty()) {
        if name.starts_with('.') || name.contains(['\\', ':', '\0']) {
            return None;
        }
        file.push(name);
    }
    fs::exists(&file).is_ok_and(|exists| exists).then_some(file)
}

fn kind_of(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpg" | "jpeg" => "image/jpeg",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "safetensors" => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    }
}
