//! What can go wrong on the way of a model, on purpose: only tests turn this on.
//!
//! `/faults/<fault>/<path>` serves `<path>` with a fault in its weights:
//!
//! | fault | |
//! |---|---|
//! | `cut/<bytes>` | the first request breaks off after so many bytes |
//! | `cut/<bytes>x<times>` | so do the first `times` requests |
//! | `stall/<bytes>` | the first request falls silent after so many bytes |
//! | `truncate` | the end is missing |
//! | `hash` | one byte is wrong |
//! | `missing` | 404 |
//! | `no-gpu` | not the weights: the worker finds no WebGPU |
//!
//! `/faults/blank` is an empty page, `/faults/log` tells requests and reports, `/faults/csp` takes
//! what the browser reports about the Content-Security-Policy.

use super::answer::Answer;
use super::entity::Entity;
use super::wanted::Wanted;
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tiny_http::Request;

/// Where browsers report what the policy forbade.
pub const REPORTS: &str = "/faults/csp";

/// Everything below it is made here.
pub const FOLDER: &str = "/faults/";
const WEIGHTS: &str = ".safetensors";
const WORKER: &str = "/worker.js";
/// More than a header, less than a shard.
const MISSING_BYTES: u64 = 4096;
const BLANK: &str = "<!doctype html><html lang=\"en\"><title>blank</title></html>";
const WITHOUT_GPU: &[u8] = b"delete WorkerNavigator.prototype.gpu;\n";

/// A fault that a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Cut { bytes: u64, times: u32 },
    Stall { bytes: u64 },
    Truncate,
    Hash,
    Missing,
    NoGpu,
}

/// What the server remembers between requests.
#[derive(Debug, Default)]
pub struct Faults {
    spoilt: Mutex<HashMap<String, u32>>,
    requests: Mutex<Vec<Value>>,
    reports: Mutex<Vec<Value>>,
}

impl Faults {
    /// Answers a path below `/faults/`.
    #[must_use]
    pub fn answer(&self, root: &Path, wanted: &Wanted) -> Answer {
        let mut answer = match wanted.path.strip_prefix(FOLDER) {
            Some("blank") => Answer::bytes(200, "text/html; charset=utf-8", BLANK.into()),
            Some("log") => self.log(),
            _ => match split(&wanted.path) {
                Some((fault, path)) => {
                    self.spoil(fault, root, path, wanted).unwrap_or_else(|error| Answer::broken(&error))
                }
                None => Answer::missing(),
            },
        };
        // A browser mends a file that it has in its own cache.
        answer.add("Cache-Control", "no-store");
        answer
    }

    fn spoil(&self, fault: Fault, root: &Path, path: &str, wanted: &Wanted) -> Result<Answer> {
        let Some(mut entity) = Entity::open(root, path, &[])? else { return Ok(Answer::missing()) };
        if !path.ends_with(if fault == Fault::NoGpu { WORKER } else { WEIGHTS }) {
            return Ok(entity.answer(wanted));
        }
        match fault {
            Fault::Missing => Ok(Answer::missing()),
            Fault::Truncate => Ok(entity.shortened(MISSING_BYTES).answer(wanted)),
            Fault::NoGpu => {
                let content = [WITHOUT_GPU, &entity.content()?].concat();
                Ok(entity.with_bytes(content).answer(wanted))
            }
            Fault::Hash => {
                let mut content = entity.content()?;
                if let Some(last) = content.last_mut() {
                    *last ^= 1;
                }
                Ok(entity.with_bytes(content).answer(wanted))
            }
            Fault::Cut { bytes, times } => {
                let mut answer = entity.answer(wanted);
                if self.spoils(&wanted.path, times) {
                    answer.cut_after(bytes);
                }
                Ok(answer)
            }
            Fault::Stall { bytes } => {
                let mut answer = entity.answer(wanted);
                if self.spoils(&wanted.path, 1) {
                    answer.stall_after(bytes);
                }
                Ok(answer)
            }
        }
    }

    /// Whether this is one of the first requests for a path.
    fn spoils(&self, path: &str, times: u32) -> bool {
        let mut spoilt = held(&self.spoilt);
        let count = spoilt.entry(path.to_owned()).or_default();
        let spoils = *count < times;
        *count += u32::from(spoils);
        spoils
    }

    /// Writes a request down.
    pub fn note(&self, wanted: &Wanted, status: u16) {
        let Wanted { method, path, range, .. } = wanted;
        held(&self.requests)
            .push(json!({ "method": method, "path": path, "range": range, "status": status }));
    }

    /// Writes a browser's report down.
    #[must_use]
    pub fn take_report(&self, request: &mut Request) -> Answer {
        match serde_json::from_reader(request.as_reader()) {
            Ok(report) => {
                held(&self.reports).push(report);
                Answer::text(200, "noted")
            }
            Err(error) => Answer::text(400, &error.to_string()),
        }
    }

    fn log(&self) -> Answer {
        let log = json!({ "requests": *held(&self.requests), "reports": *held(&self.reports) });
        Answer::bytes(200, "application/json", log.to_string().into_bytes())
    }
}

/// The fault and the path behind it.
fn split(path: &str) -> Option<(Fault, &str)> {
    let (name, rest) = path.strip_prefix(FOLDER)?.split_once('/')?;
    let (fault, behind) = match name {
        "cut" => {
            let (count, behind) = rest.split_once('/')?;
            let (bytes, times) = count.split_once('x').unwrap_or((count, "1"));
            (Fault::Cut { bytes: bytes.parse().ok()?, times: times.parse().ok()? }, behind)
        }
        "stall" => {
            let (count, behind) = rest.split_once('/')?;
            (Fault::Stall { bytes: count.parse().ok()? }, behind)
        }
        "truncate" => (Fault::Truncate, rest),
        "hash" => (Fault::Hash, rest),
        "missing" => (Fault::Missing, rest),
        "no-gpu" => (Fault::NoGpu, rest),
        _ => return None,
    };
    Some((fault, behind))
}

/// A thread that panicked left nothing half done here.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_fault() {
        let path = "models/nano/model.safetensors";
        for (prefix, fault) in [
            ("cut/100", Fault::Cut { bytes: 100, times: 1 }),
            ("cut/100x4", Fault::Cut { bytes: 100, times: 4 }),
            ("stall/9", Fault::Stall { bytes: 9 }),
            ("truncate", Fault::Truncate),
            ("hash", Fault::Hash),
            ("missing", Fault::Missing),
            ("no-gpu", Fault::NoGpu),
        ] {
            assert_eq!(split(&format!("/faults/{prefix}/{path}")), Some((fault, path)), "{prefix}");
        }
        for path in ["/models/nano/", "/faults/other/a", "/faults/cut/many/a", "/faults/hash"] {
            assert_eq!(split(path), None, "{path}");
        }
    }
}
