//! What the components share: signals, and the wishes that change them.

use crate::candidates;
use crate::engine::{self, Arrival, Handed, Picked};
use crate::examples::Example;
use crate::export;
use crate::figures::size;
use crate::model_source::{ModelSize, ModelSource, size_of_manifest};
use crate::photo::{Photo, is_address, keep_recent};
use crate::problem::{failure, sentence};
use crate::state::{Asked, Record, Stage, State};
use fine_r1_web::protocol::{DeviceChoice, Event, Failure, RecognizeOptions, Request, StoredModel, codes};
use leptos::prelude::*;
use leptos::task::spawn_local;
use std::sync::Arc;

/// Most answers of a visit that are kept.
pub const MOST_VISITS: usize = 20;

/// Remembered once a model was asked for: then there may be something in the browser's storage.
const HAS_LOADED: &str = "fine-r1-has-loaded";

/// An earlier answer of this visit, with its photo.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Tells visits apart.
    pub id: u32,
    /// The photo.
    pub photo: Photo,
    /// Question and answer.
    pub record: Arc<Record>,
}

/// What the browser's storage holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Stored {
    /// Nobody has looked: nothing was ever loaded.
    #[default]
    Unseen,
    /// The worker looks.
    Looking,
    /// These models.
    Known(Vec<StoredModel>),
    /// It cannot be told.
    Failed(Failure),
}

/// What is known about the size of the chosen model.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Size {
    /// Nothing: no folder is given.
    #[default]
    Unknown,
    /// Its manifest is on the way.
    Looking,
    /// This.
    Known(ModelSize),
    /// Its manifest cannot be had.
    Failed(Failure),
}

/// The page's signals. Copies are the same page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// What the conversation with the worker has come to.
    pub state: RwSignal<State>,
    /// The line that tells what happens, also to who listens.
    pub status: RwSignal<String>,
    /// Which model.
    pub source: RwSignal<ModelSource>,
    /// The typed URL of a model's folder.
    pub model_url: RwSignal<String>,
    /// Size of the chosen model.
    pub size: RwSignal<Size>,
    /// Where it shall run.
    pub device: RwSignal<DeviceChoice>,
    /// What the browser's storage holds.
    pub stored: RwSignal<Stored>,
    /// Whether everything is kept for a visit without a connection.
    pub is_offline_ready: RwSignal<bool>,
    /// The photo to look at.
    pub photo: RwSignal<Option<Photo>>,
    /// Why there is none.
    pub photo_problem: RwSignal<Option<Failure>>,
    /// The typed question.
    pub question: RwSignal<String>,
    /// The typed names to choose among.
    pub candidates: RwSignal<String>,
    /// Earlier answers, the latest first.
    pub history: RwSignal<Vec<Visit>>,
    looked_at: StoredValue<Option<Photo>>,
    numbers: StoredValue<u32>,
    stored_request: StoredValue<u32>,
    photo_request: StoredValue<u32>,
    size_request: StoredValue<u32>,
}

impl Page {
    /// A page on which nothing has happened.
    pub fn new() -> Self {
        Self {
            state: RwSignal::default(),
            status: RwSignal::new(State::default().status()),
            source: RwSignal::default(),
            model_url: RwSignal::default(),
            size: RwSignal::default(),
            device: RwSignal::default(),
            stored: RwSignal::default(),
            is_offline_ready: RwSignal::default(),
            photo: RwSignal::new(None),
            photo_problem: RwSignal::default(),
            question: RwSignal::default(),
            candidates: RwSignal::default(),
            history: RwSignal::new(Vec::new()),
            looked_at: StoredValue::new(None),
            numbers: StoredValue::default(),
            stored_request: StoredValue::default(),
            photo_request: StoredValue::default(),
            size_request: StoredValue::default(),
        }
    }

    /// The page that the components stand on.
    ///
    /// # Panics
    /// The component stands outside `App`.
    pub fn here() -> Self {
        expect_context()
    }

    /// A part of the state that components follow; they hear of it only when it changes.
    pub fn follow<T: PartialEq + Send + Sync + 'static>(
        self,
        part: impl Fn(&State) -> T + Send + Sync + 'static,
    ) -> Memo<T> {
        Memo::new(move |_| self.state.with(|state| part(state)))
    }

    // ---- models ----

    /// Loads the chosen model.
    pub fn load(self) {
        let address = self.source.get_untracked().address(&self.model_url.get_untracked());
        match address.and_then(|address| engine::folder_url(&address)) {
            Ok(base_url) => self.load_from(base_url),
            Err(failure) => {
                self.tell(&failure);
                self.size.set(Size::Failed(failure));
            }
        }
    }

    fn load_from(self, base_url: String) {
        engine::remember(HAS_LOADED, "yes");
        // A fresh worker: one whose device was lost would find it lost again.
        engine::end_worker();
        let id = self.number();
        self.change(|state| state.begin_load(id));
        self.send(id, &Request::Load { id, base_url, device: self.device.get_untracked() });
    }

    /// Loads a model, unless one is on its way, to ask it as soon as it is there.
    fn load_to_ask(self) {
        if self.state.with_untracked(State::running).is_none() {
            self.load_again();
        }
        self.change(State::await_model);
    }

    /// Loads the model anew that the state speaks of.
    pub fn load_again(self) {
        let base_url = self.state.with_untracked(|state| state.model().map(|model| model.base_url.clone()));
        match base_url {
            Some(base_url) if !base_url.is_empty() => self.load_from(base_url),
            _ => self.load(),
        }
    }

    /// Finds out how large the chosen model is.
    pub fn look_up_size(self) {
        let request = self.number();
        self.size_request.set_value(request);
        let Ok(address) = self.source.get_untracked().address(&self.model_url.get_untracked()) else {
            self.size.set(Size::Unknown);
            return;
        };
        let manifest = match engine::folder_url(&address) {
            Ok(folder) => format!("{folder}manifest.json"),
            Err(failure) => {
                self.size.set(Size::Failed(failure));
                return;
            }
        };
        self.size.set(Size::Looking);
        spawn_local(async move {
            let text = engine::fetch_text(&manifest, "the model's manifest.json").await;
            if self.size_request.get_value() == request {
                self.size.set(match text.and_then(|text| size_of_manifest(&text)) {
                    Ok(size) => Size::Known(size),
                    Err(failure) => Size::Failed(failure),
                });
            }
        });
    }

    /// Looks into the browser's storage, if a model was ever asked for here. The worker that looks has
    /// to be fetched first, which a first visit shall not do unasked.
    pub fn look_into_storage(self) {
        if engine::recall(HAS_LOADED).is_some() {
            let id = self.number();
            self.ask_for_stored(id, &Request::ListStored { id });
        }
    }

    /// Deletes a model from the browser's storage.
    pub fn delete_stored(self, model: &StoredModel) {
        let id = self.number();
        self.status.set(format!("Deleting {}, {}.", model.name, size(model.bytes)));
        self.ask_for_stored(id, &Request::DeleteStored { id, base_url: model.base_url.clone() });
    }

    fn ask_for_stored(self, id: u32, request: &Request) {
        self.stored_request.set_value(id);
        self.stored.update(|stored| {
            // A list that is there stays until the next one takes its place.
            if !matches!(stored, Stored::Known(_)) {
                *stored = Stored::Looking;
            }
        });
        self.send(id, request);
    }

    // ---- photos ----

    /// Takes what was chosen, dropped, fetched or taken for the photo.
    pub fn take_photo(self, picked: Result<Picked, Failure>) {
        // What is still on its way comes too late.
        self.photo_request.set_value(self.number());
        self.put_photo(picked.and_then(Photo::new));
    }

    fn put_photo(self, photo: Result<Photo, Failure>) {
        match photo {
            Ok(photo) => {
                self.status.set(match self.state.with_untracked(State::needs_model) {
                    false => format!("{} is chosen.", photo.name),
                    true => format!("{} is chosen. Recognize loads the model first.", photo.name),
                });
                self.photo_problem.set(None);
                self.photo.set(Some(photo));
            }
            Err(failure) => {
                self.tell(&failure);
                self.photo_problem.set(Some(failure));
            }
        }
    }

    /// Takes what was dropped or pasted.
    pub fn take_handed(self, handed: Handed) {
        match handed {
            Handed::File(picked) => self.take_photo(picked),
            Handed::Text(text) if is_address(&text) => self.fetch_photo(&text),
            Handed::Text(_) => {}
        }
    }

    /// Fetches a photo from an address on the web.
    pub fn fetch_photo(self, address: &str) {
        let address = address.trim().to_owned();
        if !is_address(&address) {
            self.put_photo(Err(failure(
                codes::NOT_FOUND,
                "this is not the address of a photo",
                "give a whole address that begins with https://",
            )));
            return;
        }
        let request = self.number();
        self.photo_request.set_value(request);
        self.status.set("Fetching the photo.".to_owned());
        spawn_local(async move {
            let picked = engine::fetch_foreign_photo(&address).await;
            if self.photo_request.get_value() == request {
                self.put_photo(picked.and_then(Photo::new));
            }
        });
    }

    /// Takes an example photo with its candidates, and asks about it at once.
    pub fn try_example(self, example: Example) {
        let request = self.number();
        self.photo_request.set_value(request);
        spawn_local(async move {
            let picked = engine::fetch_own_photo(&example.address()).await;
            if self.photo_request.get_value() != request {
                return;
            }
            let photo =
                picked.and_then(Photo::new).map(|photo| Photo { label: Some(example.label), ..photo });
            let is_there = photo.is_ok();
            self.put_photo(photo);
            if is_there {
                self.candidates.set(example.candidates.join(", "));
                self.recognize();
            }
        });
    }

    // ---- questions ----

    /// Asks the model about the photo; where there is no model, it is loaded first.
    pub fn recognize(self) {
        if self.state.with_untracked(State::is_asked) {
            return;
        }
        let Some(photo) = self.photo.get_untracked() else {
            self.put_photo(Err(failure(
                codes::BAD_IMAGE,
                "there is no photo yet",
                "choose one, drop or paste one, or try an example",
            )));
            return;
        };
        let candidates = candidates::parse(&self.candidates.get_untracked());
        if let Err(failure) = candidates::check(&candidates) {
            self.tell(&failure);
            return;
        }
        if self.state.with_untracked(State::needs_model) {
            self.load_to_ask();
            return;
        }
        let asked = Asked {
            photo_name: photo.name.clone(),
            photo_bytes: photo.bytes,
            label: photo.label.clone(),
            question: self.question.get_untracked().trim().to_owned(),
            candidates,
        };
        let options = RecognizeOptions {
            question: Some(asked.question.clone()).filter(|question| !question.is_empty()),
            candidates: asked.candidates.clone(),
            ..RecognizeOptions::default()
        };
        let id = self.number();
        self.change(|state| state.begin_recognition(id, asked));
        self.looked_at.set_value(Some(photo.clone()));
        spawn_local(async move {
            let image = photo.file.bytes().await;
            if self.state.with_untracked(State::running) != Some(id) {
                return;
            }
            match image {
                Ok(image) => {
                    self.change(|state| state.mark_sent(id));
                    self.send(id, &Request::Recognize { id, image, options });
                }
                Err(error) => self.receive(Arrival::Event(Event::Failed { id, error })),
            }
        });
    }

    /// Ends what is under way. Here it is over at once; the worker hears of it between two of its steps.
    pub fn stop(self) {
        let Some(id) = self.state.with_untracked(State::running) else { return };
        let is_sent = self.state.with_untracked(|state| state.run().is_none_or(|run| run.is_sent));
        if is_sent {
            self.send(id, &Request::Stop { id });
        }
        let hint = match self.state.with_untracked(State::stage) {
            Stage::Loading => "load again: what was received is kept",
            _ => "ask again",
        };
        let error = failure(codes::ABORTED, "stopped", hint);
        self.receive(Arrival::Event(Event::Failed { id, error }));
    }

    /// Brings an earlier answer back, with its photo and its question.
    pub fn show(self, visit: &Visit) {
        if !self.state.with_untracked(State::can_show) {
            return;
        }
        let asked = &visit.record.asked;
        self.photo.set(Some(visit.photo.clone()));
        self.photo_problem.set(None);
        self.question.set(asked.question.clone());
        self.candidates.set(asked.candidates.join(", "));
        self.change(|state| state.show(visit.record.clone()));
    }

    /// Puts the answer onto the clipboard.
    pub fn copy(self, record: &Record) {
        let answer = record.outcome.answer.clone();
        spawn_local(async move {
            match engine::copy(&answer).await {
                Ok(()) => self.status.set("The answer is copied.".to_owned()),
                Err(failure) => self.tell(&failure),
            }
        });
    }

    /// Saves question, answer and figures as a file.
    pub fn save(self, record: &Record) {
        let name = export::file_name(record);
        match engine::save_json(&name, &export::json(record)) {
            Ok(()) => self.status.set(format!("{name} is saved.")),
            Err(failure) => self.tell(&failure),
        }
    }

    // ---- the worker ----

    fn send(self, id: u32, request: &Request) {
        if let Err(error) = engine::send(request, move |arrival| self.receive(arrival)) {
            self.receive(Arrival::Event(Event::Failed { id, error }));
        }
    }

    fn receive(self, arrival: Arrival) {
        match arrival {
            Arrival::Event(Event::Stored { id, models }) => {
                if self.stored_request.get_value() == id {
                    if self.status.with_untracked(|status| status.starts_with("Deleting ")) {
                        self.status.set("Deleted.".to_owned());
                    }
                    self.stored.set(Stored::Known(models));
                }
            }
            Arrival::Event(Event::Failed { id, error }) if self.stored_request.get_value() == id => {
                self.tell(&error);
                self.stored.set(Stored::Failed(error));
            }
            Arrival::Event(event) => {
                let (stage, running, is_asked) =
                    self.state.with_untracked(|state| (state.stage(), state.running(), state.is_asked()));
                let is_done = matches!(event, Event::Done { id, .. } if running == Some(id));
                self.change(|state| state.apply(event, engine::now_ms()));
                if is_done {
                    self.keep_visit();
                }
                if stage == Stage::Loading && self.state.with_untracked(State::running).is_none() {
                    self.look_into_storage();
                    self.begin_with_model(is_asked);
                }
            }
            Arrival::Broken(failure) => {
                engine::end_worker();
                if self.stored.with_untracked(|stored| *stored == Stored::Looking) {
                    self.stored.set(Stored::Failed(failure.clone()));
                }
                self.change(|state| state.break_down(failure));
            }
        }
    }

    /// Has kept what runs a model that has come, and asks what somebody waits to hear.
    fn begin_with_model(self, is_asked: bool) {
        let kind = self.state.with_untracked(|state| state.model().map(|model| model.device.kind.clone()));
        let Some(kind) = kind else { return };
        spawn_local(engine::keep_offline(kind, move || self.is_offline_ready.set(true)));
        if is_asked {
            self.recognize();
        }
    }

    fn keep_visit(self) {
        let record = self.state.with_untracked(|state| state.record().cloned());
        let photo = self.looked_at.get_value();
        if let (Some(record), Some(photo)) = (record, photo) {
            let visit = Visit { id: self.number(), photo, record };
            self.history.update(|history| keep_recent(history, visit, MOST_VISITS));
        }
    }

    /// Changes the state, and tells it where that makes a difference.
    fn change(self, change: impl FnOnce(&mut State)) {
        let before = self.state.with_untracked(State::status);
        self.state.update(change);
        let after = self.state.with_untracked(State::status);
        if before != after {
            self.status.set(after);
        }
    }

    fn tell(self, failure: &Failure) {
        self.status.set(format!("{} {}", sentence(&failure.message), sentence(&failure.hint)));
    }

    /// A number for a request, never given twice.
    fn number(self) -> u32 {
        self.numbers.update_value(|number| *number += 1);
        self.numbers.get_value()
    }
}
