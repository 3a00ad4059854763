//! The only file that touches JavaScript: the worker that holds the model, files, the camera, the
//! clipboard, and what the browser remembers.

use crate::app::App;
use crate::photo::name_of_address;
use crate::problem::failure;
use fine_r1_web::protocol::{Event, Failure, Request, codes};
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use leptos::prelude::{mount_to, set_timeout};
use send_wrapper::SendWrapper;
use serde::Serialize;
use std::cell::RefCell;
use std::time::Duration;
use wasm_bindgen::prelude::{Closure, JsCast, JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Blob, BlobPropertyBag, CanvasRenderingContext2d, ClipboardEvent, DataTransfer, Document, DragEvent,
    Element, EventTarget, File, HtmlAnchorElement, HtmlCanvasElement, HtmlDialogElement, HtmlElement,
    HtmlInputElement, HtmlVideoElement, MediaStream, MediaStreamConstraints, MediaStreamTrack,
    MediaTrackConstraints, MessageEvent, Navigator, Node, ReferrerPolicy, RequestCredentials, RequestInit,
    Response, ScrollIntoViewOptions, ScrollLogicalPosition, ServiceWorkerContainer,
    ServiceWorkerRegistration, Storage, Url, Window, Worker, WorkerOptions, WorkerType, console,
};

/// The worker of the module, relative to the page.
const WORKER: &str = "./fine-r1/worker.js";

/// How long a saved file's URL stays valid: the browser reads it a little later.
const SAVE_SECS: u64 = 30;

/// Begins the page; called by `boot.js` through the module's start.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        console::error_1(&info.to_string().into());
        if let Some(notice) = document().get_element_by_id("broken") {
            let _ = notice.remove_attribute("hidden");
        }
    }));
    let Some(place) = document().get_element_by_id("page") else {
        console::error_1(&"index.html has no element with the id page".into());
        return;
    };
    place.set_text_content(None);
    mount_to(place.unchecked_into(), App).forget();
}

fn window() -> Window {
    web_sys::window().expect("the page runs in a window")
}

fn document() -> Document {
    window().document().expect("a window of a page has a document")
}

/// Milliseconds since the page began.
pub fn now_ms() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

// ---- the worker ----

thread_local! {
    static MODEL_WORKER: RefCell<Option<ModelWorker>> = const { RefCell::new(None) };
}

/// What comes from the worker.
#[derive(Debug)]
pub enum Arrival {
    /// It says something.
    Event(Event),
    /// It broke down, and everything that was asked of it is lost.
    Broken(Failure),
}

struct ModelWorker {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(web_sys::Event)>,
}

impl Drop for ModelWorker {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.set_onmessageerror(None);
        self.worker.terminate();
    }
}

impl ModelWorker {
    fn launch(receive: impl Fn(Arrival) + Clone + 'static) -> Result<Self, Failure> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker = Worker::new_with_options(WORKER, &options).map_err(|error| broken(&said(&error)))?;
        let hear = receive.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            match serde_wasm_bindgen::from_value(message.data()) {
                Ok(event) => hear(Arrival::Event(event)),
                Err(error) => {
                    console::error_1(&error.to_string().into());
                    hear(Arrival::Broken(failure(
                        codes::INTERNAL,
                        "the model's worker says something that this page does not understand",
                        "reload the page: one of the two is older than the other",
                    )));
                }
            }
        });
        let on_error = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
            let reason = event.dyn_ref::<web_sys::ErrorEvent>().map(web_sys::ErrorEvent::message);
            // The worker is dropped by the next one that is launched, not while it calls this.
            receive(Arrival::Broken(broken(&reason.unwrap_or_default())));
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        worker.set_onmessageerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self { worker, _on_message: on_message, _on_error: on_error })
    }
}

/// Sends a request to the worker, which is launched for the first one.
pub fn send(request: &Request, receive: impl Fn(Arrival) + Clone + 'static) -> Result<(), Failure> {
    let serializer = serde_wasm_bindgen::Serializer::new().serialize_maps_as_objects(true);
    let message = request.serialize(&serializer).map_err(|error| broken(&error.to_string()))?;
    // The photo's bytes move to the worker instead of being copied once more.
    let moved = Array::new();
    if let Ok(image) = Reflect::get(&message, &"image".into())
        && let Some(bytes) = image.dyn_ref::<Uint8Array>()
    {
        moved.push(&bytes.buffer());
    }
    MODEL_WORKER.with_borrow_mut(|slot| {
        let model = match slot {
            Some(model) => model,
            None => slot.insert(ModelWorker::launch(receive)?),
        };
        model.worker.post_message_with_transfer(&message, &moved).map_err(|error| broken(&said(&error)))
    })
}

/// Ends the worker and with it the model; the next request launches a fresh one.
pub fn end_worker() {
    let ended = MODEL_WORKER.take();
    // Not now: this may be called from one of its own events.
    set_timeout(move || drop(ended), Duration::ZERO);
}

fn broken(reason: &str) -> Failure {
    let message = match reason {
        "" => "the model's worker could not start or broke down".to_owned(),
        reason => format!("the model's worker broke down: {reason}"),
    };
    failure(codes::INTERNAL, message, "load the model again; if that does not help, reload the page")
}

/// What an exception says.
fn said(error: &JsValue) -> String {
    match error.dyn_ref::<js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_default(),
    }
}

/// The name of an exception, such as `NotAllowedError`.
fn name_of(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.name())).unwrap_or_default()
}

// ---- addresses and what is behind them ----

/// The whole address of a model's folder that is given relative to the page.
pub fn folder_url(address: &str) -> Result<String, Failure> {
    let page = document().base_uri().ok().flatten().unwrap_or_default();
    let whole = Url::new_with_base(address, &page).map_err(|_| {
        failure(
            codes::NOT_FOUND,
            "the model URL is not an address",
            "give a URL such as https://example.org/models/nano/, or a folder beside this page",
        )
    })?;
    whole.set_search("");
    whole.set_hash("");
    let path = whole.pathname();
    if !path.ends_with('/') {
        whole.set_pathname(&format!("{path}/"));
    }
    Ok(whole.href())
}

/// A text file of this site, or of a model's folder.
pub async fn fetch_text(address: &str, what: &str) -> Result<String, Failure> {
    let response = fetch(address, &RequestInit::new(), what).await?;
    let text = response.text().map_err(|error| cut(what, &error))?;
    let text = JsFuture::from(text).await.map_err(|error| cut(what, &error))?;
    Ok(text.as_string().unwrap_or_default())
}

/// A photo that lies on this site.
pub async fn fetch_own_photo(address: &str) -> Result<Picked, Failure> {
    fetch_photo(address, &RequestInit::new()).await
}

/// A photo from anywhere. Its site learns neither who asks nor from which page.
pub async fn fetch_foreign_photo(address: &str) -> Result<Picked, Failure> {
    let options = RequestInit::new();
    options.set_credentials(RequestCredentials::Omit);
    options.set_referrer_policy(ReferrerPolicy::NoReferrer);
    fetch_photo(address, &options).await
}

async fn fetch_photo(address: &str, options: &RequestInit) -> Result<Picked, Failure> {
    let what = "the photo";
    let response = fetch(address, options, what).await?;
    let blob = response.blob().map_err(|error| cut(what, &error))?;
    let blob = JsFuture::from(blob).await.map_err(|error| cut(what, &error))?;
    Picked::new(name_of_address(address), blob.unchecked_into())
}

async fn fetch(address: &str, options: &RequestInit, what: &str) -> Result<Response, Failure> {
    let answer = JsFuture::from(window().fetch_with_str_and_init(address, options)).await;
    let response: Response = answer.map_err(|error| cut(what, &error))?.unchecked_into();
    if response.ok() {
        return Ok(response);
    }
    let status = response.status();
    let code = if status == 404 || status == 410 { codes::NOT_FOUND } else { codes::NETWORK };
    Err(failure(
        code,
        format!("{what} could not be fetched: the server answers {status}"),
        "check the address, or try again later",
    ))
}

fn cut(what: &str, error: &JsValue) -> Failure {
    console::warn_1(error);
    let hint = match window().navigator().on_line() {
        false => "this device is offline: connect it and try again",
        true if what == "the photo" => {
            "check the address; this page's own policy (connect-src) or the photo's site (CORS) may forbid it, too: download the photo and choose the file"
        }
        true => {
            "check the address; a foreign site must allow this page to read its files (CORS), and this page's policy must allow that site"
        }
    };
    failure(codes::NETWORK, format!("{what} could not be fetched"), hint)
}

// ---- photos ----

/// A file for the model to look at. Its preview's URL is given back when it is dropped.
#[derive(Debug)]
pub struct PhotoFile {
    blob: SendWrapper<Blob>,
    url: ObjectUrl,
}

/// A file that was chosen, dropped, pasted, fetched or taken.
#[derive(Debug)]
pub struct Picked {
    /// Name of the file.
    pub name: String,
    /// Its media type, as far as the browser knows.
    pub kind: String,
    /// Its size.
    pub bytes: f64,
    /// The file itself.
    pub file: PhotoFile,
}

/// What somebody dropped or pasted.
#[derive(Debug)]
pub enum Handed {
    /// A file.
    File(Result<Picked, Failure>),
    /// A text, perhaps an address.
    Text(String),
}

#[derive(Debug)]
struct ObjectUrl(String);

impl ObjectUrl {
    fn new(blob: &Blob) -> Result<Self, Failure> {
        Url::create_object_url_with_blob(blob).map(Self).map_err(|error| {
            failure(codes::INTERNAL, said(&error), "reload the page to free its memory, and try again")
        })
    }
}

impl Drop for ObjectUrl {
    fn drop(&mut self) {
        let _ = Url::revoke_object_url(&self.0);
    }
}

impl PhotoFile {
    /// Address of the preview.
    pub fn url(&self) -> &str {
        &self.url.0
    }

    /// All bytes of the file.
    pub async fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let buffer = JsFuture::from(self.blob.array_buffer()).await.map_err(|_| {
            failure(
                codes::BAD_IMAGE,
                "the photo can no longer be read",
                "its file was moved or changed: choose it again",
            )
        })?;
        Ok(Uint8Array::new(&buffer).to_vec())
    }
}

impl Picked {
    fn new(name: String, blob: Blob) -> Result<Self, Failure> {
        let url = ObjectUrl::new(&blob)?;
        let (kind, bytes) = (blob.type_(), blob.size());
        Ok(Self { name, kind, bytes, file: PhotoFile { blob: SendWrapper::new(blob), url } })
    }

    fn from_file(file: File) -> Result<Self, Failure> {
        Self::new(file.name(), file.unchecked_into())
    }
}

/// The file that was chosen in a file input, which is ready for the next choice then.
pub fn chosen(event: &web_sys::Event) -> Option<Result<Picked, Failure>> {
    let input: HtmlInputElement = event.target()?.dyn_into().ok()?;
    let file = input.files()?.get(0)?;
    input.set_value("");
    Some(Picked::from_file(file))
}

/// Whether what is dragged is meant for the page: files always, text unless it is over a field.
pub fn is_for_page(event: &DragEvent) -> bool {
    let has_files = event
        .data_transfer()
        .is_some_and(|data| data.types().iter().any(|kind| kind.as_string().as_deref() == Some("Files")));
    has_files || !is_field(event.target())
}

fn is_field(target: Option<EventTarget>) -> bool {
    target.is_some_and(|target| target.dyn_ref::<HtmlInputElement>().is_some())
}

/// What was dropped onto the page.
pub fn dropped(event: &DragEvent) -> Option<Handed> {
    handed(&event.data_transfer()?)
}

/// What was pasted; text only if it was not meant for a field.
pub fn pasted(event: &ClipboardEvent) -> Option<Handed> {
    let is_field = is_field(event.target());
    handed(&event.clipboard_data()?).filter(|handed| matches!(handed, Handed::File(_)) || !is_field)
}

fn handed(data: &DataTransfer) -> Option<Handed> {
    if let Some(file) = data.files().and_then(|files| files.get(0)) {
        return Some(Handed::File(Picked::from_file(file)));
    }
    ["text/uri-list", "text/plain"]
        .into_iter()
        .filter_map(|kind| data.get_data(kind).ok())
        .find(|text| !text.trim().is_empty())
        .map(Handed::Text)
}

// ---- the camera ----

/// A camera that is on; it goes off when this is dropped.
#[derive(Debug)]
pub struct Camera {
    stream: MediaStream,
}

impl Drop for Camera {
    fn drop(&mut self) {
        for track in self.stream.get_tracks().iter() {
            track.unchecked_into::<MediaStreamTrack>().stop();
        }
    }
}

impl Camera {
    /// Asks for the camera, on a phone the one at its back.
    pub async fn open() -> Result<Self, Failure> {
        let devices = window().navigator().media_devices().ok().filter(is_there);
        let Some(devices) = devices else {
            return Err(failure(
                codes::NO_API,
                "this page may not use the camera",
                "open it over https or from this device itself, or choose a photo instead",
            ));
        };
        let track = MediaTrackConstraints::new();
        track.set_facing_mode(&"environment".into());
        let wanted = MediaStreamConstraints::new();
        wanted.set_video_media_track_constraints(&track);
        let stream = devices.get_user_media_with_constraints(&wanted).map_err(|error| no_camera(&error))?;
        let stream = JsFuture::from(stream).await.map_err(|error| no_camera(&error))?;
        Ok(Self { stream: stream.unchecked_into() })
    }

    /// Shows what the camera sees.
    pub fn show_in(&self, video: &HtmlVideoElement) {
        video.set_src_object(Some(&self.stream));
    }

    /// Takes a photo of what is shown.
    pub async fn take(&self, video: &HtmlVideoElement) -> Result<Picked, Failure> {
        let (width, height) = (video.video_width(), video.video_height());
        let dark =
            || failure(codes::BAD_IMAGE, "the camera shows nothing yet", "wait a moment and try again");
        if width == 0 || height == 0 {
            return Err(dark());
        }
        let internal = |error: JsValue| failure(codes::INTERNAL, said(&error), "choose a photo instead");
        let canvas: HtmlCanvasElement =
            document().create_element("canvas").map_err(internal)?.unchecked_into();
        canvas.set_width(width);
        canvas.set_height(height);
        let context = canvas.get_context("2d").map_err(internal)?.ok_or_else(dark)?;
        let context: CanvasRenderingContext2d = context.unchecked_into();
        context.draw_image_with_html_video_element(video, 0.0, 0.0).map_err(internal)?;
        let blob = Promise::new(&mut |resolve, _| {
            if canvas.to_blob_with_type(&resolve, "image/jpeg").is_err() {
                let _ = resolve.call1(&JsValue::NULL, &JsValue::NULL);
            }
        });
        let blob = JsFuture::from(blob).await.map_err(internal)?;
        Picked::new("camera.jpg".to_owned(), blob.dyn_into().map_err(|_| dark())?)
    }
}

fn no_camera(error: &JsValue) -> Failure {
    let (message, hint) = match name_of(error).as_str() {
        "NotAllowedError" => (
            "the camera was not allowed".to_owned(),
            "allow it in the browser's settings for this page, or choose a photo instead",
        ),
        "NotFoundError" | "OverconstrainedError" => {
            ("this device has no camera".to_owned(), "choose a photo instead")
        }
        "NotReadableError" => {
            ("the camera is in use".to_owned(), "close the other program that uses it and try again")
        }
        _ => (format!("the camera could not start: {}", said(error)), "choose a photo instead"),
    };
    failure(codes::NO_API, message, hint)
}

/// Whether the browser really has what its type promises: outside secure contexts much is left out.
fn is_there(object: &impl AsRef<JsValue>) -> bool {
    let object: &JsValue = object.as_ref();
    !object.is_undefined() && !object.is_null()
}

// ---- elements ----

/// Opens a dialog over the page.
pub fn open_dialog(dialog: &HtmlDialogElement) {
    if !dialog.open() {
        let _ = dialog.show_modal();
    }
}

/// Moves the keyboard to an element.
pub fn focus(element: &HtmlElement) {
    let _ = element.focus();
}

/// Whether the keyboard is in a part of the page, or nowhere, as after its part was taken away.
pub fn holds_keyboard(part: &Element) -> bool {
    let part: &Node = part;
    document().active_element().is_none_or(|active| {
        let active_node: &Node = &active;
        part.contains(Some(active_node)) || active.tag_name() == "BODY"
    })
}

/// Scrolls as far as is needed to see an element.
pub fn reveal(element: &Element) {
    let options = ScrollIntoViewOptions::new();
    options.set_block(ScrollLogicalPosition::Nearest);
    element.scroll_into_view_with_scroll_into_view_options(&options);
}

// ---- copies ----

/// Puts a text onto the clipboard.
pub async fn copy(text: &str) -> Result<(), Failure> {
    let refused = || {
        failure(
            codes::NO_API,
            "this page may not use the clipboard",
            "select the text and copy it, or open the page over https",
        )
    };
    let clipboard = window().navigator().clipboard();
    if !is_there(&clipboard) {
        return Err(refused());
    }
    JsFuture::from(clipboard.write_text(text)).await.map(|_| ()).map_err(|_| refused())
}

/// Gives a JSON file to whoever sits before the page.
pub fn save_json(name: &str, text: &str) -> Result<(), Failure> {
    let refused = |error: JsValue| {
        failure(codes::INTERNAL, said(&error), "copy the answer instead, or reload the page and try again")
    };
    let options = BlobPropertyBag::new();
    options.set_type("application/json");
    let blob =
        Blob::new_with_str_sequence_and_options(&Array::of1(&text.into()), &options).map_err(refused)?;
    let url = ObjectUrl::new(&blob)?;
    let link: HtmlAnchorElement = document().create_element("a").map_err(refused)?.unchecked_into();
    link.set_href(&url.0);
    link.set_download(name);
    link.click();
    set_timeout(move || drop(url), Duration::from_secs(SAVE_SECS));
    Ok(())
}

// ---- what the browser remembers ----

fn store() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// What was remembered under a name.
pub fn recall(name: &str) -> Option<String> {
    store()?.get_item(name).ok().flatten()
}

/// Remembers a text for the next visit; where the browser keeps nothing, the next visit begins anew.
pub fn remember(name: &str, text: &str) {
    if let Some(store) = store() {
        let _ = store.set_item(name, text);
    }
}

/// Whether the page is dark now, by choice or by the system's setting.
pub fn is_dark() -> bool {
    match document_theme().as_deref() {
        Some("dark") => true,
        Some("light") => false,
        _ => {
            let query = window().match_media("(prefers-color-scheme: dark)").ok().flatten();
            query.is_some_and(|query| query.matches())
        }
    }
}

fn document_theme() -> Option<String> {
    document().document_element()?.get_attribute("data-theme")
}

/// Makes the page `dark` or `light`.
pub fn set_theme(theme: &str) {
    if let Some(root) = document().document_element() {
        let _ = root.set_attribute("data-theme", theme);
    }
}

// ---- offline ----

/// Asks the service worker to keep what the model needs besides its files, of the two engines the named one, and
/// says when it has done so. Browsers without service workers never say it.
pub async fn keep_offline(engine: String, when_kept: impl Fn() + 'static) {
    let Some(container) = service_workers(&window().navigator()) else { return };
    let Ok(ready) = container.ready() else { return };
    let Ok(registration) = JsFuture::from(ready).await else { return };
    let registration: ServiceWorkerRegistration = registration.unchecked_into();
    let Some(active) = registration.active() else { return };
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        let kind = Reflect::get(&message.data(), &"type".into()).ok().and_then(|kind| kind.as_string());
        if kind.as_deref() == Some("kept") {
            when_kept();
        }
    });
    container.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // It may answer as long as the page lives.
    on_message.forget();
    let message = Object::new();
    let _ = Reflect::set(&message, &"type".into(), &"keep".into());
    let _ = Reflect::set(&message, &"engine".into(), &engine.into());
    let _ = active.post_message(&message);
}

fn service_workers(navigator: &Navigator) -> Option<ServiceWorkerContainer> {
    let container = navigator.service_worker();
    is_there(&container).then_some(container)
}
