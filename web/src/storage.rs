//! Model files in the browser's own storage (OPFS): one folder a model, written and read without
//! holding a file in memory.
//!
//! Synchronous access handles exist in workers only, which is where this crate runs:
//! <https://fs.spec.whatwg.org/#api-filesystemsyncaccesshandle>.

use crate::events::{failure, internal, spoken};
use crate::protocol::{Failure, StoredModel, codes};
use crate::waiting::{sleep, wait};
use fine_r1_core::config::Manifest;
use fine_r1_core::config::manifest::MANIFEST_FILE;
use js_sys::{Object, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{
    File, FileSystemDirectoryHandle, FileSystemFileHandle, FileSystemGetDirectoryOptions,
    FileSystemGetFileOptions, FileSystemReadWriteOptions, FileSystemRemoveOptions,
    FileSystemSyncAccessHandle, StorageManager, WorkerGlobalScope,
};

/// The folder of this module in the site's storage.
const ROOT: &str = "fine-r1";
/// Remembers where a folder came from and which of its files were verified.
const STATE_FILE: &str = ".state.json";
/// Another tab may hold a file for a moment.
const OPEN_TRIES: u32 = 40;
const OPEN_PAUSE_MILLIS: i32 = 250;

/// Where all models lie.
#[derive(Debug)]
pub struct Storage {
    root: FileSystemDirectoryHandle,
}

/// Where one model lies.
#[derive(Debug)]
pub struct Folder {
    handle: FileSystemDirectoryHandle,
    state: State,
}

/// What is known of a model's folder.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    base_url: String,
    /// Hashes of the files that were verified, by name.
    verified: BTreeMap<String, String>,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Shared with other tabs.
    Read,
    /// Alone.
    Write,
}

/// An open file; dropping it closes it.
#[derive(Debug)]
pub struct StoredFile(FileSystemSyncAccessHandle);

impl Storage {
    /// Opens the site's storage.
    ///
    /// # Errors
    /// The browser gives this page none.
    pub async fn open() -> Result<Self, Failure> {
        let refused = |error: JsValue| {
            failure(
                codes::STORAGE_FULL,
                format!("the browser gives this page no storage: {}", spoken(&error)),
                "leave private browsing, or allow the site to store data",
            )
        };
        let site: FileSystemDirectoryHandle = wait(manager()?.get_directory()).await.map_err(refused)?;
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        let root = wait(site.get_directory_handle_with_options(ROOT, &options)).await.map_err(refused)?;
        Ok(Self { root })
    }

    /// The folder of a model, made where it is missing.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn folder(&self, base_url: &str) -> Result<Folder, Failure> {
        let options = FileSystemGetDirectoryOptions::new();
        options.set_create(true);
        let handle = wait(self.root.get_directory_handle_with_options(&folder_name(base_url), &options))
            .await
            .map_err(|error| broken(&error))?;
        let mut folder = Folder { handle, state: State::default() };
        if let Some(text) = folder.read_text(STATE_FILE).await? {
            folder.state = serde_json::from_str(&text).unwrap_or_default();
        }
        base_url.clone_into(&mut folder.state.base_url);
        Ok(folder)
    }

    /// All models that have at least a manifest here.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn list(&self) -> Result<Vec<StoredModel>, Failure> {
        let mut models = Vec::new();
        for name in names(&self.root).await? {
            let Ok(handle) = wait(self.root.get_directory_handle(&name)).await else { continue };
            let folder = Folder { handle, state: State::default() };
            models.extend(folder.describe().await?);
        }
        models.sort_by(|left, right| left.base_url.cmp(&right.base_url));
        Ok(models)
    }

    /// Deletes a model; one that is not there is deleted already.
    ///
    /// # Errors
    /// Another tab is reading it.
    pub async fn delete(&self, base_url: &str) -> Result<(), Failure> {
        let options = FileSystemRemoveOptions::new();
        options.set_recursive(true);
        let removal = self.root.remove_entry_with_options(&folder_name(&folder_url(base_url)), &options);
        match wait::<JsValue>(removal).await {
            Err(error) if name_of(&error) != "NotFoundError" => Err(failure(
                codes::INTERNAL,
                format!("cannot delete {base_url}: {}", spoken(&error)),
                "close other tabs that use the model, and try again",
            )),
            _ => Ok(()),
        }
    }
}

/// Bytes that the site may still store, where the browser says so.
pub async fn free_bytes() -> Option<f64> {
    let estimate: Object = wait(manager().ok()?.estimate().ok()?).await.ok()?;
    let number = |name: &str| Reflect::get(&estimate, &name.into()).ok()?.as_f64();
    Some(number("quota")? - number("usage")?)
}

impl Folder {
    /// Whether a file lies here whole, with this hash.
    #[must_use]
    pub fn is_verified(&self, path: &str, sha256: &str) -> bool {
        self.state.verified.get(path).is_some_and(|hash| hash.eq_ignore_ascii_case(sha256))
    }

    /// Whether a file was verified as something else: what lies here belongs to another manifest.
    #[must_use]
    pub fn is_outdated(&self, path: &str, sha256: &str) -> bool {
        self.state.verified.get(path).is_some_and(|hash| !hash.eq_ignore_ascii_case(sha256))
    }

    /// Bytes of a file, whoever has it open; `None` where it is missing.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn size(&self, path: &str) -> Result<Option<u64>, Failure> {
        let handle = match wait::<FileSystemFileHandle>(self.handle.get_file_handle(path)).await {
            Ok(handle) => handle,
            Err(error) if name_of(&error) == "NotFoundError" => return Ok(None),
            Err(error) => return Err(broken(&error)),
        };
        let file: File = wait(handle.get_file()).await.map_err(|error| broken(&error))?;
        Ok(Some(file.size() as u64))
    }

    /// Deletes files that `is_wanted` does not know, so that a new manifest leaves nothing behind.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn keep_only(&mut self, is_wanted: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let own = [STATE_FILE, MANIFEST_FILE];
        for path in names(&self.handle).await? {
            if !own.contains(&path.as_str()) && !is_wanted(&path) {
                self.forget(&path).await?;
            }
        }
        Ok(())
    }

    /// Notes that a file was verified.
    ///
    /// # Errors
    /// The storage is full.
    pub async fn note_verified(&mut self, path: &str, sha256: &str) -> Result<(), Failure> {
        self.state.verified.insert(path.to_owned(), sha256.to_owned());
        self.write_state().await
    }

    /// Deletes a file, and what was noted of it.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn forget(&mut self, path: &str) -> Result<(), Failure> {
        self.state.verified.remove(path);
        self.write_state().await?;
        match wait::<JsValue>(self.handle.remove_entry(path)).await {
            Err(error) if name_of(&error) != "NotFoundError" => Err(broken(&error)),
            _ => Ok(()),
        }
    }

    /// Opens a file; for writing it is made where it is missing, for reading that is `None`.
    ///
    /// # Errors
    /// Another tab keeps it to itself, or the storage fails.
    pub async fn file(&self, path: &str, access: Access) -> Result<Option<StoredFile>, Failure> {
        let options = FileSystemGetFileOptions::new();
        options.set_create(access == Access::Write);
        let found = wait::<FileSystemFileHandle>(self.handle.get_file_handle_with_options(path, &options));
        let handle = match found.await {
            Ok(handle) => handle,
            Err(error) if access == Access::Read && name_of(&error) == "NotFoundError" => return Ok(None),
            Err(error) => return Err(broken(&error)),
        };
        for left in (0..OPEN_TRIES).rev() {
            match open(&handle, access).await {
                Ok(file) => return Ok(Some(StoredFile(file))),
                Err(error) if name_of(&error) == "NoModificationAllowedError" && left > 0 => {
                    sleep(OPEN_PAUSE_MILLIS).await;
                }
                Err(error) if name_of(&error) == "NoModificationAllowedError" => break,
                Err(error) => return Err(broken(&error)),
            }
        }
        Err(failure(
            codes::INTERNAL,
            format!("another tab is writing {path}"),
            "wait until the other tab has loaded the model, then try again",
        ))
    }

    /// A small file as text; `None` where it is missing.
    ///
    /// # Errors
    /// The storage fails.
    pub async fn read_text(&self, path: &str) -> Result<Option<String>, Failure> {
        let Some(file) = self.file(path, Access::Read).await? else { return Ok(None) };
        let mut bytes = vec![0; file.len()? as usize];
        file.read(0, &mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Replaces a small file.
    ///
    /// # Errors
    /// The storage is full.
    pub async fn write_text(&self, path: &str, text: &str) -> Result<(), Failure> {
        let Some(file) = self.file(path, Access::Write).await? else { return Ok(()) };
        file.write(0, text.as_bytes())?;
        file.truncate(text.len() as u64)
    }

    async fn write_state(&self) -> Result<(), Failure> {
        let text = serde_json::to_string(&self.state).unwrap_or_default();
        self.write_text(STATE_FILE, &text).await
    }

    async fn describe(&self) -> Result<Option<StoredModel>, Failure> {
        let Some(state) = self.read_text(STATE_FILE).await? else { return Ok(None) };
        let Ok(State { base_url, .. }) = serde_json::from_str(&state) else { return Ok(None) };
        let manifest = self.read_text(MANIFEST_FILE).await?.unwrap_or_default();
        let Ok(manifest) = Manifest::from_json(&manifest) else { return Ok(None) };
        let mut bytes = 0.0;
        for file in &manifest.files {
            bytes += self.size(&file.path).await?.unwrap_or_default() as f64;
        }
        let total = manifest.bytes() as f64;
        Ok(Some(StoredModel { name: manifest.name, base_url, bytes, total }))
    }
}

impl StoredFile {
    /// Bytes in the file.
    ///
    /// # Errors
    /// The storage fails.
    pub fn len(&self) -> Result<u64, Failure> {
        self.0.get_size().map(|size| size as u64).map_err(|error| broken(&error))
    }

    /// Fills the buffer from a place in the file.
    ///
    /// # Errors
    /// The file ends before.
    pub fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(at as f64);
        let read = self.0.read_with_u8_array_and_options(buffer, &options).map_err(|error| broken(&error))?;
        if read as usize == buffer.len() {
            return Ok(());
        }
        Err(failure(
            codes::WRONG_SIZE,
            "a stored file is cut short",
            "delete the stored model and load it anew",
        ))
    }

    /// Writes at a place in the file.
    ///
    /// # Errors
    /// The storage is full.
    pub fn write(&self, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(at as f64);
        match self.0.write_with_u8_array_and_options(bytes, &options) {
            Ok(written) if written as usize == bytes.len() => Ok(()),
            Ok(_) => Err(full()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Writes the chunk of a stream at a place in the file, without a copy.
    ///
    /// # Errors
    /// The storage is full.
    pub fn write_chunk(&self, at: u64, chunk: &Uint8Array) -> Result<(), Failure> {
        let options = FileSystemReadWriteOptions::new();
        options.set_at(at as f64);
        match self.0.write_with_js_u8_array_and_options(chunk, &options) {
            Ok(written) if written == f64::from(chunk.length()) => Ok(()),
            Ok(_) => Err(full()),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Cuts the file.
    ///
    /// # Errors
    /// The storage fails.
    pub fn truncate(&self, length: u64) -> Result<(), Failure> {
        self.0.truncate_with_f64(length as f64).map_err(|error| broken(&error))
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Names of what lies in a folder.
async fn names(folder: &FileSystemDirectoryHandle) -> Result<Vec<String>, Failure> {
    let keys = folder.keys();
    let mut names = Vec::new();
    loop {
        let next = keys.next().map_err(|error| broken(&error))?;
        let next: Object = wait(next).await.map_err(|error| broken(&error))?;
        let field = |name: &str| Reflect::get(&next, &name.into()).unwrap_or_default();
        if field("done").is_truthy() {
            return Ok(names);
        }
        names.extend(field("value").as_string());
    }
}

/// The one spelling of a model folder's URL: with a slash at its end.
#[must_use]
pub fn folder_url(base_url: &str) -> String {
    if base_url.ends_with('/') { base_url.to_owned() } else { format!("{base_url}/") }
}

fn manager() -> Result<StorageManager, Failure> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let storage = scope.navigator().storage();
    // Pages that are not served securely have none.
    if storage.is_undefined() {
        return Err(failure(
            codes::STORAGE_FULL,
            "the page is not in a secure context, where browsers give no storage for a model's files",
            "serve the page over https or from localhost",
        ));
    }
    Ok(storage)
}

async fn open(handle: &FileSystemFileHandle, access: Access) -> Result<FileSystemSyncAccessHandle, JsValue> {
    // The mode is newer than the bindings; browsers that do not know it open for writing.
    let options = Object::new();
    let mode = if access == Access::Read { "read-only" } else { "readwrite" };
    Reflect::set(&options, &"mode".into(), &mode.into())?;
    let function: js_sys::Function = Reflect::get(handle, &"createSyncAccessHandle".into())?.dyn_into()?;
    wait(function.call1(handle, &options)?.dyn_into()?).await
}

/// A name that is one folder, whatever the URL.
fn folder_name(base_url: &str) -> String {
    Sha256::digest(base_url.as_bytes())[..12].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn name_of(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}

fn full() -> Failure {
    failure(
        codes::STORAGE_FULL,
        "the browser's storage is full",
        "delete stored models, or free disk space, and load again: what was received is kept",
    )
}

fn broken(error: &JsValue) -> Failure {
    match name_of(error).as_str() {
        "QuotaExceededError" => full(),
        _ => internal("the browser's storage failed", error),
    }
}
