//! A model folder from the network into the browser's storage: streamed, resumable, verified.

use crate::events::{aborted, failure, spoken};
use crate::protocol::{Failure, Progress, codes};
use crate::storage::{Access, Folder, Storage, StoredFile, folder_url, free_bytes};
use crate::waiting::{scope, sleep, wait, yield_to_messages};
use fine_r1_core::config::manifest::MANIFEST_FILE;
use fine_r1_core::config::{Manifest, ManifestFile};
use js_sys::{Object, Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use wasm_bindgen::JsValue;
use web_sys::{AbortSignal, ReadableStreamDefaultReader, Request, RequestCache, RequestInit, Response};

/// How often a broken connection is taken up again before giving up.
const RETRIES: u32 = 3;
/// The first pause before it, in milliseconds; every next one is twice as long.
const RETRY_PAUSE_MILLIS: i32 = 500;
/// Bytes that are hashed at a time.
const HASH_CHUNK: usize = 1 << 20;
/// Progress is told at most so often, in bytes.
const REPORT_BYTES: u64 = 1 << 18;

/// The answer to a range that begins at or after a file's end.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// What a download needs to know of its caller.
pub trait Listener {
    /// How far it is.
    fn progress(&self, progress: Progress);
    /// Whether it shall stop.
    fn is_stopped(&self) -> bool;
    /// Ends requests that wait when it shall stop.
    fn signal(&self) -> &AbortSignal;
}

/// A model whose files lie in the browser's storage.
#[derive(Debug)]
pub struct Download {
    base_url: String,
    folder: Folder,
    manifest: Manifest,
    /// Bytes of the files that were brought so far.
    brought: u64,
}

impl Download {
    /// Reads the manifest, from the network or, offline, from the storage.
    ///
    /// # Errors
    /// There is none, or it makes no sense.
    pub async fn begin(storage: &Storage, base_url: &str, signal: &AbortSignal) -> Result<Self, Failure> {
        let base_url = folder_url(base_url);
        let read = |text: &str| {
            Manifest::from_json(text)
                .map_err(|error| failure(codes::BAD_MODEL, error.to_string(), error.hint()))
        };
        // The folder is made once there is something to put into it.
        let (manifest, folder) = match fetch_text(&format!("{base_url}{MANIFEST_FILE}"), signal).await {
            Ok(text) => {
                let manifest = read(&text)?;
                let mut folder = storage.folder(&base_url).await?;
                folder.write_text(MANIFEST_FILE, &text).await?;
                folder.keep_only(|path| manifest.file(path).is_some()).await?;
                (manifest, folder)
            }
            Err(error) if error.code == codes::NETWORK => {
                let folder = storage.folder(&base_url).await?;
                let text = folder.read_text(MANIFEST_FILE).await?.ok_or(error)?;
                (read(&text)?, folder)
            }
            Err(error) => return Err(error),
        };
        Ok(Self { base_url, folder, manifest, brought: 0 })
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Refuses at once what cannot fit the storage.
    ///
    /// # Errors
    /// The files that are missing are larger than what the browser leaves.
    pub async fn check_room(&self) -> Result<(), Failure> {
        let mut needed = 0.0;
        for file in &self.manifest.files {
            let stored = self.folder.size(&file.path).await?.unwrap_or_default();
            needed += file.bytes.saturating_sub(stored) as f64;
        }
        match free_bytes().await {
            Some(free) if free < needed => Err(failure(
                codes::STORAGE_FULL,
                format!(
                    "the model needs {} more in the browser's storage, {} are free",
                    megabytes(needed),
                    megabytes(free)
                ),
                "delete stored models, or free disk space",
            )),
            _ => Ok(()),
        }
    }

    /// Brings the files that `wanted` picks into the storage.
    ///
    /// # Errors
    /// Network, storage, a wrong size or hash, or a stop. What was received stays.
    pub async fn fetch(
        &mut self,
        wanted: impl Fn(&str) -> bool,
        listener: &impl Listener,
    ) -> Result<(), Failure> {
        let total = self.manifest.bytes() as f64;
        for file in self.manifest.files.clone().into_iter().filter(|file| wanted(&file.path)) {
            let before = self.brought;
            let report = |phase: &str, bytes: u64, from_storage: bool| {
                listener.progress(Progress {
                    phase: phase.into(),
                    file: file.path.clone(),
                    file_bytes: bytes as f64,
                    file_total: file.bytes as f64,
                    bytes: (before + bytes) as f64,
                    total,
                    from_storage,
                });
            };
            self.fetch_file(&file, listener, &report).await?;
            self.brought += file.bytes;
        }
        Ok(())
    }

    /// A small file as text; `None` where the manifest does not list it.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn text(&self, path: &str) -> Result<Option<String>, Failure> {
        match self.manifest.file(path) {
            Some(_) => self.folder.read_text(path).await,
            None => Ok(None),
        }
    }

    /// A file of the storage.
    ///
    /// # Errors
    /// The manifest does not list it, or it went away.
    pub async fn file(&self, path: &str) -> Result<StoredFile, Failure> {
        let listed = self.manifest.file(path).is_some();
        let file = if listed { self.folder.file(path, Access::Read).await? } else { None };
        file.ok_or_else(|| {
            failure(
                codes::BAD_MODEL,
                format!("the model has no {path}"),
                "make the manifest anew: `trainer-native manifest DIR`",
            )
        })
    }

    async fn fetch_file(
        &mut self,
        file: &ManifestFile,
        listener: &impl Listener,
        report: &impl Fn(&str, u64, bool),
    ) -> Result<(), Failure> {
        if self.folder.is_verified(&file.path, &file.sha256)
            && self.folder.size(&file.path).await? == Some(file.bytes)
        {
            report("downloading", file.bytes, true);
            return Ok(());
        }
        if self.folder.is_outdated(&file.path, &file.sha256) {
            self.folder.forget(&file.path).await?;
        }
        let Some(stored) = self.folder.file(&file.path, Access::Write).await? else { return Ok(()) };
        let mut has_old_bytes = stored.len()? > 0;
        let mut tries = 0;
        let hash = loop {
            match self.receive(file, &stored, listener, report).await {
                // The part from an earlier visit may be of another version of the file.
                Ok(hash) if has_old_bytes && !hash.eq_ignore_ascii_case(&file.sha256) => {
                    stored.truncate(0)?;
                    has_old_bytes = false;
                }
                Ok(hash) => break hash,
                Err(_) if listener.is_stopped() => return Err(aborted()),
                Err(error) if error.code == codes::NETWORK && tries < RETRIES => {
                    sleep(RETRY_PAUSE_MILLIS << tries).await;
                    tries += 1;
                    if listener.is_stopped() {
                        return Err(aborted());
                    }
                }
                Err(error) => return Err(error),
            }
        };
        drop(stored);
        if !hash.eq_ignore_ascii_case(&file.sha256) {
            self.folder.forget(&file.path).await?;
            return Err(failure(
                codes::WRONG_HASH,
                format!("{} is not what the manifest promises: its sha256 is {hash}", file.path),
                "load again; if it stays so, the files on the server do not belong together",
            ));
        }
        self.folder.note_verified(&file.path, &file.sha256).await
    }

    /// Receives what is missing of a file and returns the hash of the whole.
    async fn receive(
        &self,
        file: &ManifestFile,
        stored: &StoredFile,
        listener: &impl Listener,
        report: &impl Fn(&str, u64, bool),
    ) -> Result<String, Failure> {
        let mut length = stored.len()?;
        if length > file.bytes {
            stored.truncate(0)?;
            length = 0;
        }
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; HASH_CHUNK.min(length as usize)];
        let mut hashed = 0;
        while hashed < length {
            let count = (length - hashed).min(HASH_CHUNK as u64) as usize;
            stored.read(hashed, &mut buffer[..count])?;
            hasher.update(&buffer[..count]);
            hashed += count as u64;
            report("verifying", hashed, true);
            yield_to_messages().await;
            if listener.is_stopped() {
                return Err(aborted());
            }
        }
        if length < file.bytes {
            let url = format!("{}{}", self.base_url, file.path);
            let response = match request(&url, length, listener.signal()).await {
                // The server's file ends where ours does.
                Err(error) if length > 0 && error.code == codes::WRONG_SIZE => {
                    stored.truncate(0)?;
                    return Err(wrong_size(file, "shorter"));
                }
                response => response?,
            };
            if length > 0 && response.status() != 206 {
                // The server sends the file from its beginning.
                stored.truncate(0)?;
                length = 0;
                hasher = Sha256::new();
            }
            let Some(body) = response.body() else { return Err(cut(&url, "no content")) };
            let reader =
                ReadableStreamDefaultReader::new(&body).map_err(|error| cut(&url, &spoken(&error)))?;
            let mut reported = length;
            loop {
                let next: Object = wait(reader.read()).await.map_err(|error| cut(&url, &spoken(&error)))?;
                if Reflect::get(&next, &"done".into()).is_ok_and(|done| done.is_truthy()) {
                    break;
                }
                let chunk = Uint8Array::from(Reflect::get(&next, &"value".into()).unwrap_or_default());
                if length + u64::from(chunk.length()) > file.bytes {
                    drop(reader.cancel());
                    stored.truncate(0)?;
                    return Err(wrong_size(file, "longer"));
                }
                stored.write_chunk(length, &chunk)?;
                hasher.update(chunk.to_vec());
                length += u64::from(chunk.length());
                if length - reported >= REPORT_BYTES || length == file.bytes {
                    report("downloading", length, false);
                    reported = length;
                }
                if listener.is_stopped() {
                    drop(reader.cancel());
                    return Err(aborted());
                }
            }
        }
        if length < file.bytes {
            // A server that ends early in good order will do so again.
            return Err(wrong_size(file, "shorter"));
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn wrong_size(file: &ManifestFile, how: &str) -> Failure {
    failure(
        codes::WRONG_SIZE,
        format!("{} is {how} than the {} bytes that the manifest promises", file.path, file.bytes),
        "upload the file to the server again, or make the manifest anew",
    )
}

fn cut(url: &str, what: &str) -> Failure {
    failure(
        codes::NETWORK,
        format!("the connection to {url} broke: {what}"),
        "check the network and load again: it goes on where it stopped",
    )
}

/// Asks for a file from byte `from` on.
async fn request(url: &str, from: u64, signal: &AbortSignal) -> Result<Response, Failure> {
    let init = RequestInit::new();
    // What the model folder holds lies in the storage; the browser's cache would hold it twice.
    init.set_cache(RequestCache::NoStore);
    init.set_signal(Some(signal));
    let request = Request::new_with_str_and_init(url, &init).map_err(|error| {
        failure(codes::NOT_FOUND, format!("{url}: {}", spoken(&error)), "check the URL of the model's folder")
    })?;
    if from > 0 {
        drop(request.headers().set("Range", &format!("bytes={from}-")));
    }
    let response: Response = wait(scope().fetch_with_request(&request))
        .await
        .map_err(|error: JsValue| cut(url, &spoken(&error)))?;
    if response.ok() {
        return Ok(response);
    }
    let code = match response.status() {
        RANGE_NOT_SATISFIABLE => codes::WRONG_SIZE,
        500.. => codes::NETWORK,
        _ => codes::NOT_FOUND,
    };
    Err(failure(
        code,
        format!("{url} answers {} {}", response.status(), response.status_text()).trim_end().to_owned(),
        "check the URL of the model's folder: it must hold manifest.json and the files that it lists",
    ))
}

async fn fetch_text(url: &str, signal: &AbortSignal) -> Result<String, Failure> {
    let response = request(url, 0, signal).await?;
    let text = response.text().map_err(|error| cut(url, &spoken(&error)))?;
    let text: JsValue = wait(text).await.map_err(|error| cut(url, &spoken(&error)))?;
    Ok(text.as_string().unwrap_or_default())
}

fn megabytes(bytes: f64) -> String {
    format!("{:.0} MB", bytes / 1e6)
}
