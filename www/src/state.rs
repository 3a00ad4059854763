//! What the conversation with the worker has come to: one enum, changed by the worker's events.

use crate::figures::percent;
use crate::problem::{is_wish, needs_load, sentence};
use fine_r1_web::protocol::{DeviceReport, Event, Failure, ModelInfo, Outcome, Progress};
use std::mem;
use std::sync::Arc;

/// Letters of an answer that the status line tells.
const LONGEST_TOLD: usize = 120;

/// What the conversation with the worker has come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum State {
    /// Nothing was asked for yet.
    #[default]
    Landing,
    /// A model is on its way.
    Loading {
        /// Number of the request.
        id: u32,
        /// The device, as soon as it is known.
        device: Option<DeviceReport>,
        /// How far it is.
        progress: Option<Progress>,
        /// Whether somebody has asked already and waits for the model.
        is_awaited: bool,
    },
    /// A model did not arrive, or went away.
    LoadFailed {
        /// Why.
        failure: Failure,
    },
    /// The model can be asked.
    Ready {
        /// The model.
        model: ModelInfo,
    },
    /// The model looks and thinks.
    Recognizing {
        /// The model.
        model: ModelInfo,
        /// What it was asked, and has said so far.
        run: Run,
    },
    /// The answer is there.
    Answered {
        /// The model that can be asked next.
        model: ModelInfo,
        /// Question and answer.
        record: Arc<Record>,
    },
    /// There will be no answer.
    Unanswered {
        /// The model.
        model: ModelInfo,
        /// What it was asked, and had said.
        run: Run,
        /// Why.
        failure: Failure,
    },
}

/// What stands above photo, question and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The card before any download.
    Landing,
    /// The way of the model to the device.
    Loading,
    /// The model that is loaded.
    Loaded,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
    /// Name of the photo's file.
    pub photo_name: String,
    /// Size of the photo's file.
    pub photo_bytes: f64,
    /// What the photo shows, where that is known.
    pub label: Option<String>,
    /// The question as typed; empty for the model's own.
    pub question: String,
    /// Names to choose among.
    pub candidates: Vec<String>,
}

/// A recognition under way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Number of the request.
    pub id: u32,
    /// What was asked.
    pub asked: Asked,
    /// Whether the worker has got it.
    pub is_sent: bool,
    /// Whether the prompt was read.
    pub is_started: bool,
    /// The thought so far.
    pub thinking: String,
    /// The answer so far.
    pub answer: String,
    pieces: u32,
    first_ms: f64,
    latest_ms: f64,
}

/// A question with its complete answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// The model that answered.
    pub model: ModelInfo,
    /// What was asked.
    pub asked: Asked,
    /// Thought and answer.
    pub outcome: Outcome,
}

impl Run {
    /// About how many tokens come in a second; a piece of text is mostly one token.
    pub fn pieces_per_second(&self) -> Option<f64> {
        let secs = (self.latest_ms - self.first_ms) / 1000.0;
        (self.pieces >= 4 && secs > 0.0).then(|| f64::from(self.pieces - 1) / secs)
    }

    fn hear(&mut self, now_ms: f64) {
        if self.pieces == 0 {
            self.first_ms = now_ms;
        }
        self.pieces += 1;
        self.latest_ms = now_ms;
    }
}

impl State {
    /// A load was asked for. It takes the place of whatever was there.
    pub fn begin_load(&mut self, id: u32) {
        *self = Self::Loading { id, device: None, progress: None, is_awaited: false };
    }

    /// Somebody asks about a photo while the model is on its way.
    pub fn await_model(&mut self) {
        if let Self::Loading { is_awaited, .. } = self {
            *is_awaited = true;
        }
    }

    /// A recognition was asked for. Without a model nothing changes.
    pub fn begin_recognition(&mut self, id: u32, asked: Asked) {
        if let Some(model) = self.model().cloned() {
            *self = Self::Recognizing { model, run: Run { id, asked, ..Run::default() } };
        }
    }

    /// The worker has got the recognition.
    pub fn mark_sent(&mut self, sent: u32) {
        if let Self::Recognizing { run, .. } = self
            && run.id == sent
        {
            run.is_sent = true;
        }
    }

    /// Brings an earlier answer back. Without a model, or while something is under way, nothing changes.
    pub fn show(&mut self, record: Arc<Record>) {
        if self.can_show()
            && let Some(model) = self.model().cloned()
        {
            *self = Self::Answered { model, record };
        }
    }

    /// Takes in what the worker says. Events of requests that are over are passed over.
    pub fn apply(&mut self, event: Event, now_ms: f64) {
        *self = match (mem::take(self), event) {
            (Self::Loading { id, progress, is_awaited, .. }, Event::Found { id: of, device }) if id == of => {
                Self::Loading { id, device: Some(device), progress, is_awaited }
            }
            (Self::Loading { id, device, is_awaited, .. }, Event::Progress { id: of, progress })
                if id == of =>
            {
                Self::Loading { id, device, progress: Some(progress), is_awaited }
            }
            (Self::Loading { id, .. }, Event::Ready { id: of, info }) if id == of => {
                Self::Ready { model: info }
            }
            (Self::Loading { id, .. }, Event::Failed { id: of, error }) if id == of => {
                Self::LoadFailed { failure: error }
            }
            (Self::Recognizing { model, mut run }, Event::Started { id, .. }) if run.id == id => {
                run.is_started = true;
                Self::Recognizing { model, run }
            }
            (Self::Recognizing { model, mut run }, Event::Thinking { id, text }) if run.id == id => {
                run.hear(now_ms);
                run.thinking.push_str(&text);
                Self::Recognizing { model, run }
            }
            (Self::Recognizing { model, mut run }, Event::Answering { id, text }) if run.id == id => {
                run.hear(now_ms);
                run.answer.push_str(&text);
                Self::Recognizing { model, run }
            }
            (Self::Recognizing { model, run }, Event::Done { id, outcome }) if run.id == id => {
                let record = Record { model: model.clone(), asked: run.asked, outcome };
                Self::Answered { model, record: Arc::new(record) }
            }
            (Self::Recognizing { model, run }, Event::Failed { id, error }) if run.id == id => {
                Self::Unanswered { model, run, failure: error }
            }
            (state, _) => state,
        };
    }

    /// The worker broke down, and the model with it.
    pub fn break_down(&mut self, failure: Failure) {
        if *self != Self::Landing {
            *self = Self::LoadFailed { failure };
        }
    }

    /// What stands above photo, question and answer.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Landing | Self::LoadFailed { .. } => Stage::Landing,
            Self::Loading { .. } => Stage::Loading,
            Self::Ready { .. }
            | Self::Recognizing { .. }
            | Self::Answered { .. }
            | Self::Unanswered { .. } => Stage::Loaded,
        }
    }

    /// The model that can be asked.
    pub fn model(&self) -> Option<&ModelInfo> {
        match self {
            Self::Landing | Self::Loading { .. } | Self::LoadFailed { .. } => None,
            Self::Ready { model }
            | Self::Recognizing { model, .. }
            | Self::Answered { model, .. }
            | Self::Unanswered { model, .. } => Some(model),
        }
    }

    /// Whether a model has to be loaded before one can be asked: there is none, or it went away.
    pub fn needs_model(&self) -> bool {
        match self {
            Self::Unanswered { failure, .. } => needs_load(failure),
            _ => self.model().is_none(),
        }
    }

    /// Whether somebody has asked and waits: for the model, or for its answer.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Recognizing { .. } | Self::Loading { is_awaited: true, .. })
    }

    /// Whether an earlier answer can be brought back.
    pub fn can_show(&self) -> bool {
        self.running().is_none() && self.model().is_some()
    }

    /// Number of the request that is under way.
    pub fn running(&self) -> Option<u32> {
        match self {
            Self::Loading { id, .. } => Some(*id),
            Self::Recognizing { run, .. } => Some(run.id),
            _ => None,
        }
    }

    /// The recognition that is under way or has failed.
    pub fn run(&self) -> Option<&Run> {
        match self {
            Self::Recognizing { run, .. } | Self::Unanswered { run, .. } => Some(run),
            _ => None,
        }
    }

    /// The complete answer.
    pub fn record(&self) -> Option<&Arc<Record>> {
        match self {
            Self::Answered { record, .. } => Some(record),
            _ => None,
        }
    }

    /// The thought, as far as it goes.
    pub fn thinking(&self) -> &str {
        match self {
            Self::Answered { record, .. } => &record.outcome.thinking,
            _ => self.run().map_or("", |run| &run.thinking),
        }
    }

    /// The answer, as far as it goes.
    pub fn answer(&self) -> &str {
        match self {
            Self::Answered { record, .. } => &record.outcome.answer,
            _ => self.run().map_or("", |run| &run.answer),
        }
    }

    /// Why there is no model.
    pub fn load_failure(&self) -> Option<&Failure> {
        match self {
            Self::LoadFailed { failure } => Some(failure),
            _ => None,
        }
    }

    /// Why there is no answer of the model that is there.
    pub fn answer_failure(&self) -> Option<&Failure> {
        match self {
            Self::Unanswered { failure, .. } => Some(failure),
            _ => None,
        }
    }

    /// Whether the model thinks and has not begun to answer: then its thought is unfolded.
    pub fn is_thinking(&self) -> bool {
        matches!(self, Self::Recognizing { run, .. } if run.answer.is_empty())
    }

    /// The state in a sentence, for the status line and for who listens to it. Downloads are told in
    /// fifths.
    pub fn status(&self) -> String {
        match self {
            Self::Landing => "No model is loaded yet.".to_owned(),
            Self::Loading { progress: Some(progress), .. } => match progress.phase.as_str() {
                "downloading" if !progress.from_storage => {
                    let fifths = percent(progress.bytes, progress.total) / 20 * 20;
                    format!("Downloading the model: {fifths} %.")
                }
                phase => sentence(phase_words(phase, progress.from_storage)),
            },
            Self::Loading { device: Some(device), .. } => {
                format!("Found {}.", device_words(device))
            }
            Self::Loading { .. } => "Looking for a device.".to_owned(),
            Self::LoadFailed { failure } => told("The model is not loaded", "Loading stopped.", failure),
            Self::Ready { model } => {
                format!("{} is ready on {}.", sentence_name(model), device_words(&model.device))
            }
            Self::Recognizing { run, .. } => match (run.is_started, run.answer.is_empty()) {
                (false, _) => "Looking at the photo.".to_owned(),
                (true, true) => "Thinking.".to_owned(),
                (true, false) => "Answering.".to_owned(),
            },
            Self::Answered { record, .. } => match record.outcome.answer.as_str() {
                "" => "The model ended without an answer.".to_owned(),
                answer => sentence(&format!("Answer: {}", beginning(answer))),
            },
            Self::Unanswered { failure, .. } => told("No answer", "Stopped.", failure),
        }
    }
}

/// What runs the model, in a word.
pub fn device_words(device: &DeviceReport) -> &'static str {
    match (device.kind.as_str(), device.is_software) {
        ("webgpu", false) => "WebGPU",
        ("webgpu", true) => "WebGPU in software",
        _ => "the CPU",
    }
}

/// A phase of loading, in words.
pub fn phase_words(phase: &str, from_storage: bool) -> &'static str {
    match (phase, from_storage) {
        ("downloading", false) => "downloading",
        ("downloading", true) => "reading from this device's storage",
        ("verifying", _) => "checking the files against their hashes",
        ("loading", _) => "moving the weights to the device",
        ("warmingUp", _) => "warming up",
        _ => "preparing",
    }
}

/// As much of an answer as one listens to.
fn beginning(answer: &str) -> String {
    let mut letters = answer.chars();
    let mut beginning: String = letters.by_ref().take(LONGEST_TOLD).collect();
    if letters.next().is_some() {
        beginning.push('…');
    }
    beginning
}

fn sentence_name(model: &ModelInfo) -> &str {
    if model.name.is_empty() { "The model" } else { &model.name }
}

fn told(opening: &str, wish: &str, failure: &Failure) -> String {
    if is_wish(failure) {
        return wish.to_owned();
    }
    let message = sentence(&format!("{opening}: {}", failure.message));
    let hint = sentence(&failure.hint);
    format!("{message} {hint}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::failure;
    use fine_r1_web::protocol::codes;

    fn model() -> ModelInfo {
        ModelInfo {
            name: "nano".into(),
            device: DeviceReport { kind: "cpu".into(), ..DeviceReport::default() },
            ..ModelInfo::default()
        }
    }

    fn thinking(id: u32, text: &str) -> Event {
        Event::Thinking { id, text: text.into() }
    }

    fn answering(id: u32, text: &str) -> Event {
        Event::Answering { id, text: text.into() }
    }

    fn asked() -> Asked {
        Asked {
            photo_name: "photo.jpg".into(),
            candidates: vec!["A319".into(), "A320".into()],
            ..Asked::default()
        }
    }

    fn after(events: Vec<Event>) -> State {
        let mut state = State::Ready { model: model() };
        state.begin_recognition(7, asked());
        for (index, event) in events.into_iter().enumerate() {
            state.apply(event, index as f64 * 100.0);
        }
        state
    }

    #[test]
    fn loading_goes_from_device_to_ready() {
        let mut state = State::Landing;
        state.begin_load(3);
        assert_eq!((state.stage(), state.running()), (Stage::Loading, Some(3)));
        assert_eq!(state.status(), "Looking for a device.");
        state.apply(Event::Found { id: 3, device: model().device }, 0.0);
        assert_eq!(state.status(), "Found the CPU.");
        let progress =
            Progress { phase: "downloading".into(), bytes: 47.0, total: 100.0, ..Progress::default() };
        state.apply(Event::Progress { id: 3, progress }, 0.0);
        assert_eq!(state.status(), "Downloading the model: 40 %.");
        let State::Loading { device: Some(_), .. } = &state else { panic!("{state:?}") };
        state.apply(Event::Ready { id: 3, info: model() }, 0.0);
        assert_eq!((state.stage(), state.status().as_str()), (Stage::Loaded, "nano is ready on the CPU."));
    }

    #[test]
    fn who_asks_before_there_is_a_model_waits_for_it() {
        let mut state = State::Landing;
        state.await_model();
        assert_eq!((state.needs_model(), state.is_asked()), (true, false));
        state.begin_load(3);
        assert!(!state.is_asked());
        state.await_model();
        let progress = Progress { phase: "loading".into(), ..Progress::default() };
        state.apply(Event::Found { id: 3, device: model().device }, 0.0);
        state.apply(Event::Progress { id: 3, progress }, 0.0);
        assert_eq!((state.needs_model(), state.is_asked()), (true, true));
        state.apply(Event::Ready { id: 3, info: model() }, 0.0);
        assert_eq!((state.needs_model(), state.is_asked()), (false, false));
    }

    #[test]
    fn a_model_that_went_away_is_needed_anew() {
        for (code, needs_model) in [(codes::DEVICE_LOST, true), (codes::BAD_IMAGE, false)] {
            let state = after(vec![Event::Failed { id: 7, error: failure(code, "it failed", "try again") }]);
            assert_eq!(state.needs_model(), needs_model, "{code}");
        }
    }

    #[test]
    fn a_failed_load_leads_back_to_the_landing_card() {
        let mut state = State::Landing;
        state.begin_load(1);
        let error = failure(codes::NETWORK, "the connection was cut", "load again, what came is kept");
        state.apply(Event::Failed { id: 1, error: error.clone() }, 0.0);
        assert_eq!((state.stage(), state.load_failure()), (Stage::Landing, Some(&error)));
        assert_eq!(
            state.status(),
            "The model is not loaded: the connection was cut. Load again, what came is kept."
        );
    }

    #[test]
    fn thought_and_answer_stream_in() {
        let state = after(vec![
            Event::Started { id: 7, prompt_tokens: 40 },
            thinking(7, "Two "),
            thinking(7, "engines."),
        ]);
        assert_eq!((state.thinking(), state.answer(), state.is_thinking()), ("Two engines.", "", true));
        assert_eq!(state.status(), "Thinking.");
        let state = after(vec![thinking(7, "Two engines."), answering(7, "A3")]);
        assert!(!state.is_thinking());
    }

    #[test]
    fn the_complete_answer_replaces_what_streamed() {
        let outcome =
            Outcome { thinking: "Two engines.".into(), answer: "A320".into(), ..Outcome::default() };
        let state = after(vec![answering(7, " A320 "), Event::Done { id: 7, outcome }]);
        assert_eq!((state.thinking(), state.answer()), ("Two engines.", "A320"));
        assert_eq!(state.status(), "Answer: A320.");
        let record = state.record().unwrap();
        assert_eq!((record.asked.clone(), record.model.name.as_str()), (asked(), "nano"));
    }

    #[test]
    fn stopping_keeps_what_was_said() {
        let error = failure(codes::ABORTED, "stopped", "");
        let state = after(vec![thinking(7, "Two"), Event::Failed { id: 7, error }]);
        assert_eq!((state.thinking(), state.status().as_str()), ("Two", "Stopped."));
        assert_eq!((state.running(), state.stage()), (None, Stage::Loaded));
    }

    #[test]
    fn events_of_other_requests_are_passed_over() {
        let state = after(vec![
            thinking(6, "old"),
            Event::Ready { id: 7, info: ModelInfo::default() },
            Event::Failed { id: 6, error: Failure::default() },
            Event::Stored { id: 7, models: Vec::new() },
        ]);
        assert_eq!((state.thinking(), state.running()), ("", Some(7)));
    }

    #[test]
    fn nothing_is_recognized_without_a_model() {
        let mut state = State::Landing;
        state.begin_recognition(1, asked());
        assert_eq!(state, State::Landing);
    }

    #[test]
    fn an_earlier_answer_comes_back_only_when_nothing_runs() {
        let record = Arc::new(Record { asked: asked(), ..Record::default() });
        let mut state = after(vec![thinking(7, "Two")]);
        state.show(record.clone());
        assert_eq!(state.running(), Some(7));
        let mut state = State::Landing;
        state.show(record.clone());
        assert_eq!(state, State::Landing);
        let mut state = State::Ready { model: model() };
        state.show(record.clone());
        assert_eq!(state.record(), Some(&record));
    }

    #[test]
    fn a_broken_worker_takes_the_model_with_it() {
        let error = failure(codes::INTERNAL, "the worker ended", "reload the page");
        let mut state = after(vec![thinking(7, "Two")]);
        state.break_down(error.clone());
        assert_eq!((state.stage(), state.load_failure()), (Stage::Landing, Some(&error)));
        let mut state = State::Landing;
        state.break_down(error);
        assert_eq!(state, State::Landing);
    }

    #[test]
    fn the_pace_is_told_once_there_is_one() {
        let state = after(vec![thinking(7, "a"), thinking(7, "b"), thinking(7, "c")]);
        assert_eq!(state.run().unwrap().pieces_per_second(), None);
        let state = after((0..11).map(|_| thinking(7, "a")).collect());
        assert_eq!(state.run().unwrap().pieces_per_second(), Some(10.0));
    }
}
